"""SIP servers, PBX and what is built on them: few verbs, plain texts, and a first line at times."""

from platforms.asking import BOTH, KEYED, LEASE, asks, form, json_typed_by_hand, json_utf8, own_type, percent, typed
from platforms.library import (
    ASTERISK,
    BARE_LIBCURL,
    DEVICE,
    DOTNET,
    DOTNET_FRAMEWORK,
    FREESWITCH,
    JAVA_URL,
    KAMAILIO,
    KAMAILIO_QUERY,
    SUPERAGENT,
    WGET,
)
from platforms.platform import AFTER_401, API_KEY, BEARER, Platform, e164
from platforms.reading import (
    first_line,
    first_line_and_code,
    json_always,
    json_by_status,
    json_on_success,
    pairs,
)


def sip(number: str) -> str:
    """The address of the From header of an INVITE."""
    return f"sip:+1{number}@10.1.2.3:5060"


def tel(number: str) -> str:
    """The address of a P-Asserted-Identity."""
    return f"tel:+1{number}"


SWITCHES = (
    Platform(
        "Asterisk, HASH of CURL with hashcompat",
        "after its source; CURL gives no status",
        ASTERISK,
        asks("POST", ".form", form(percent), LEASE),
        asks("POST", "/take.form", form(percent), BOTH),
        pairs,
        withheld="",
    ),
    Platform(
        "Asterisk, JSON_DECODE",
        "after its source, since 16.24, 18.10 and 19.2",
        ASTERISK,
        asks("POST", "", form(percent), LEASE),
        asks("POST", "/{dnis}/{ani}", form(percent), also={"_method": "DELETE"}),
        json_always,
        ani=e164,
    ),
    Platform(
        "Asterisk 1.4, GET and CUT",
        "after its source: CURL(url) alone, and the credentials in the URL",
        ASTERISK,
        asks("GET", "?format=form", query=LEASE),
        asks("GET", "/take?format=form", query=BOTH),
        pairs,
        needs_leniency=True,
    ),
    Platform(
        "Kamailio http_client, http_connect",
        "captured; it asks twice, and keeps the first line. The INVITE comes again where an answer takes 500 ms",
        KAMAILIO,
        asks("POST", ".txt?status=200", form(percent), KEYED),
        asks("POST", "/take.txt?status=200", form(percent), BOTH),
        first_line,
        credentials=AFTER_401,
        ani=sip,
        dnis=sip,
        withheld="sip:anonymous@anonymous.invalid",
        repeats=True,
    ),
    Platform(
        "Kamailio http_client, http_client_query",
        "captured; two Content-Types where the script sets one beside another header",
        KAMAILIO_QUERY,
        asks(
            "POST",
            "?status=200",
            typed(json_utf8, ""),
            LEASE,
            headers=("X-Request-Id: 4a5f", "Content-Type: application/json"),
        ),
        asks(
            "POST",
            "/{dnis}/{ani}/take?status=200",
            typed(json_utf8, ""),
            headers=("X-Request-Id: 4a60", "Content-Type: application/json"),
        ),
        json_on_success,
    ),
    Platform(
        "Kamailio http_async_client",
        "after its source",
        BARE_LIBCURL,
        asks("POST", ".txt", form(percent), LEASE),
        asks("DELETE", "/{dnis}:{ani}.txt"),
        first_line_and_code,
        credentials=API_KEY,
    ),
    Platform(
        "OpenSIPS rest_client",
        "after its source; rest_post, rest_put and rest_get, and a JSON variable for the answer",
        BARE_LIBCURL,
        own_type(asks("POST", "", json_utf8, LEASE)),
        own_type(asks("POST", "/{dnis}:{ani}", json_utf8, also={"_method": "DELETE"})),
        json_by_status,
        ani=tel,
        withheld="sip:anonymous@anonymous.invalid",
    ),
    Platform(
        "FreeSWITCH mod_curl, dialplan",
        "after its source; it asks twice, with the body, which it has decoded once, so the plus is bare",
        FREESWITCH,
        asks("POST", ".txt?status=200", form(percent, raw=("ani",)), LEASE),
        asks("POST", "/take.txt?status=200", form(percent, raw=("ani",)), BOTH),
        first_line,
        credentials=AFTER_401,
        ani=e164,
    ),
    Platform(
        "FreeSWITCH mod_curl, Lua",
        "after its source; the script reads JSON",
        FREESWITCH,
        asks("POST", "", json_utf8, LEASE),
        asks("POST", "/{dnis}:{ani}/take", json_utf8),
        json_always,
        credentials=AFTER_401,
        withheld="unknown",
    ),
    Platform(
        "FreeSWITCH ESL, Node",
        "captured, superagent",
        SUPERAGENT,
        asks("POST", "", json_utf8, LEASE),
        asks("DELETE", "/{dnis}/{ani}"),
        json_by_status,
        ani=e164,
        dnis=e164,
    ),
    Platform(
        "FusionPBX, wget of a script",
        "captured, wget with --auth-no-challenge",
        WGET,
        asks("POST", ".txt?status=200", form(percent), LEASE),
        asks("POST", "/take.txt?status=200", form(percent), BOTH),
        first_line,
    ),
    Platform(
        "3CX Call Flow Designer",
        "assumed, .NET's HttpClient; the text of the response and its status",
        DOTNET.named("3CX Call Flow"),
        asks("POST", "", typed(json_utf8, "application/json; charset=utf-8"), LEASE),
        asks("DELETE", "/{dnis}:{ani}"),
        json_by_status,
        credentials=BEARER,
    ),
    Platform(
        "Mitel MiContact Center Business",
        "assumed, .NET Framework; a web service activity, JSON into variables",
        DOTNET_FRAMEWORK.named("MiCC"),
        asks("POST", "?status=200", json_typed_by_hand, LEASE),
        asks("POST", "/{dnis}:{ani}/take?status=200", json_typed_by_hand),
        json_on_success,
        credentials=AFTER_401,
    ),
    Platform(
        "Alcatel-Lucent, Java application",
        "assumed, Java's HttpURLConnection",
        JAVA_URL,
        asks("POST", "", json_utf8, LEASE),
        asks("DELETE", "/{dnis}:{ani}"),
        json_by_status,
    ),
    Platform(
        "A controller that has GET alone",
        "after the vendors' samples; HTTP/1.0, the status and a line",
        DEVICE,
        asks("GET", ".txt?status=200", query=LEASE),
        asks("GET", "/take.txt?status=200", query=BOTH),
        first_line,
        needs_leniency=True,
    ),
)
