"""Whose call a request is about: the DNIS and the ANI, wherever in the request they stand."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cticache.data import uui
from cticache.errors import WrongFields
from cticache.handover import HandOver
from cticache.numbering.ani import Ani, bare
from cticache.web.escapes import decoded_again, number, segment

WORDS = ("dnis", "ani")
"""What a query or a body may say of it."""
UUI = "uui"
"""What a query may say instead, where the call is to be read or taken."""
_ADDRESS = re.compile(
    r"((?:sips?:|tel:)?[^:@]*(?:@(?:\[[^\]]*\]|[^:]*)(?::[0-9]{1,5}(?=:|\Z))?)?)(?::(.*))?", re.IGNORECASE | re.DOTALL
)
"""A number or an address, whose scheme and port have colons of their own, and what stands after the next colon."""
_MAY_BE_ADDRESS = frozenset("sStT")
_TWICE = "Given twice, and not the same."


@dataclass(slots=True)
class Named:
    """Whose call it is."""

    dnis: str
    ani: str
    """Bare, as cticache.numbering.ani.read leaves it."""
    sent: str
    """The ANI as it was sent; empty where that was null."""
    token: str = ""
    """That of the lease, by which alone the call is found; empty where it is found by its ANI."""


def split(key: str) -> tuple[str, str | None]:
    """The DNIS and the ANI of a key, split at its first colon; None for the ANI where none splits it.

    The colons of a scheme and before a port do not count, because a DNIS may be an address.
    """
    if "@" not in key and key[:1] not in _MAY_BE_ADDRESS:
        dnis, colon, ani = key.partition(":")
        return dnis, ani if colon else None
    found = _ADDRESS.fullmatch(key)
    return (found[1], found[2]) if found else (key, None)


def in_path(key: str, ani: str | None = None, *, alone: bool = False) -> tuple[str, str | None]:
    """The DNIS and the ANI of a path: of one segment, or of two; None for an ANI that stands elsewhere.

    ``alone``: one segment may be the DNIS alone. WrongFields where it is that and may not be.
    """
    if ani is None and "%" not in key and "@" not in key and key[:1] not in _MAY_BE_ADDRESS:  # the usual case
        dnis, colon, rest = key.partition(":")
        if colon:
            return dnis, rest
    dnis, found = split(segment(key))
    if ani is not None:
        if found is not None:
            raise WrongFields({"key": ["Two ANI in the path: one after a colon, and one after a slash."]})
        if not ani:
            raise WrongFields({"key": ["No ANI after the slash: a withheld one is written `anonymous` there."]})
        found = segment(ani)
    elif found is None and not alone:
        raise WrongFields({"key": ["No colon: the URL ends in the DNIS, a colon or a slash, and the ANI."]})
    return dnis, found


def named(
    calls: HandOver, place: tuple[str | None, str | None], words: Mapping[str, str], fields: Mapping[str, str | Ani]
) -> Named:
    """Whose call it is, by the path, the words of the query and the fields of the body.

    What is said twice must mean the same in the pool of the number. Raises WrongFields where it does not, or where
    something is not said at all or is no number.
    """
    dnis, ani = place
    if not words and not fields and dnis is not None and ani is not None:
        return _of_texts(decoded_again(dnis), decoded_again(ani)) if "%" in dnis or "%" in ani else _of_texts(dnis, ani)
    dnises = [decoded_again(dnis)] if dnis is not None else []
    anis: list[str | Ani] = [decoded_again(ani)] if ani is not None else []
    for said in (words, fields):
        if "dnis" in said:
            dnises.append(number(str(said["dnis"])) if said is words else str(said["dnis"]))
        if "ani" in said:
            anis.append(number(str(said["ani"])) if said is words else said["ani"])
    if UUI in words:
        return _by_uui(calls, words[UUI], dnises, anis)
    if missing := [name for name, found in (("dnis", dnises), ("ani", anis)) if not found]:
        raise WrongFields({name: ["Missing."] for name in missing})
    first, *others = (_read(dnises[0], each) for each in anis)
    _refuse_two(calls, dnises)
    if not all(calls.is_one_caller(first.dnis, first.ani, other.ani) for other in others):
        raise WrongFields({"ani": [_TWICE]})
    return first


def _by_uui(calls: HandOver, said: str, dnises: list[str], anis: list[str | Ani]) -> Named:
    """The lease that a uui names. The ANI may be anything: it is what gets lost on the way."""
    try:
        dnis, token = uui.read(said)
    except ValueError as error:
        raise WrongFields({UUI: [f"It {error}."]}) from None
    _refuse_two(calls, [dnis, *dnises])
    ani = anis[0] if anis else ""
    sent = (ani.sent or "") if isinstance(ani, Ani) else ani
    return Named(dnises[0] if dnises else dnis, "", sent, token)


def _refuse_two(calls: HandOver, dnises: list[str]) -> None:
    if not all(calls.is_one_number(dnises[0], other) for other in dnises[1:]):
        raise WrongFields({"dnis": [_TWICE]})


def _read(dnis: str, ani: str | Ani) -> Named:
    if isinstance(ani, Ani):
        return Named(dnis, ani.bare, ani.sent or "")
    return _of_texts(dnis, ani)


def _of_texts(dnis: str, ani: str) -> Named:
    try:
        return Named(dnis, bare(ani), ani)
    except ValueError as error:
        raise WrongFields({"ani": [f"It {error}."]}) from None
