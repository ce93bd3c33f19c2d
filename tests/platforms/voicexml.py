"""VoiceXML browsers: GET and POST of a form, a DOM or variables on a 2xx, and no body of anything else."""

from collections.abc import Callable

from platforms.asking import BOTH, LEASE, Body, asks, form, json_utf8, multipart, typed
from platforms.library import BROWSER
from platforms.platform import AFTER_401, AT_ONCE, Credentials, Platform, Reader, Way, as_it_is, e164
from platforms.reading import json_on_success, subdialog, xml_on_success

_NAMELIST = form()


def _asked(suffix: str, body: Body, query: str = "?status=200") -> tuple[Way, Way]:
    """A lease and a take by a namelist; both are POST, and the numbers of the take travel in the body."""
    return (
        asks("POST", f"{suffix}{query}", body, LEASE),
        asks("POST", f"/take{suffix}{query}", body, BOTH),
    )


def _browser(
    name: str,
    agent: str,
    source: str,
    ways: tuple[Way, Way],
    *,
    reads: Reader = xml_on_success,
    credentials: Credentials = AT_ONCE,
    ani: Callable[[str], str] = as_it_is,
) -> Platform:
    return Platform(
        name, source, BROWSER.named(agent), *ways, reads, credentials=credentials, ani=ani, withheld="undefined"
    )


_DATA, _SUBDIALOG = _asked(".xml", _NAMELIST), _asked(".vxml", _NAMELIST)

VOICEXML = (
    _browser("Genesys Voice Platform <data>", "GVP-NGI/9.0", "after its manual", _DATA),
    _browser("Genesys Voice Platform <subdialog>", "GVP-NGI/9.0", "after its manual", _SUBDIALOG, reads=subdialog),
    _browser("Cisco VVB <data>", "Cisco VVB/12.6", "after its manual", _DATA, credentials=AFTER_401),
    _browser(
        "Cisco IP IVR <subdialog>",
        "Cisco-IP-IVR/5.0",
        "after its manual; it guesses from the suffix, so the format is in the query",
        _asked("", _NAMELIST, "?format=vxml&status=200"),
        reads=subdialog,
    ),
    _browser(
        "Avaya Experience Portal <data>",
        "AvayaExperiencePortal/8.1",
        "after its manual",
        _DATA,
        ani=e164,
    ),
    _browser("Aspect Prophecy <subdialog>", "Voxeo-VXML/14", "after its manual", _SUBDIALOG, reads=subdialog),
    _browser(
        "Dialogic XMS <subdialog>, multipart",
        "Vision/5.2",
        "after its manual, and VoiceXML 2.0 section 5.3.8 for the enctype",
        _asked(".vxml", multipart("----=_Part_7", "utf-8")),
        reads=subdialog,
    ),
    _browser(
        "Nuance Voice Platform <data>", "NVP/6.4", "after its manual", _asked("", _NAMELIST, "?format=xml&status=200")
    ),
    _browser(
        "Plum <data>, JSON",
        "PlumVoice/4.0",
        "after its manual; beside the standard it reads JSON and sends headers",
        _asked("", _NAMELIST),
        reads=json_on_success,
    ),
    _browser(
        "PureConnect VoiceXML <data>, JSON",
        "ININ-VXML/2023",
        "after its manual; it posts a type of its own",
        _asked("", typed(json_utf8, "application/json-inin")),
        reads=json_on_success,
    ),
)
