"""The user-to-user information (RFC 7433) that names one lease, and travels with the call whatever becomes of its ANI.

It is made of hex digits alone, since exchanges and trunks hand on nothing else alike: 24 of the lease's token, then the
DNIS with an ``a`` for its plus, then an ``f`` where octets would not come out whole. The token's 96 bits are not to be
guessed; the DNIS says in which pools to look. It is 58 digits long at most, where ISDN takes 256.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

_UUI = re.compile(r"([0-9a-f]{24})(a?)([0-9]{1,32})f?")
_PARAMETER = re.compile(r"\s*([\w-]+)\s*(?:=\s*([\w.-]+)\s*)?", re.ASCII)
_WRONG = "is not the uui of a lease: 24 hex digits, and then those of its number, as the lease was answered"


def written(dnis: str, token: str) -> str:
    """The hex digits, in small letters, that name the lease of this token on this number."""
    digits = urlsafe_b64decode(token).hex() + dnis.replace("+", "a")
    return digits + "f" * (len(digits) % 2)


def read(text: str) -> tuple[str, str]:
    """The DNIS and the token in what a client has of a uui: the digits, or a header ``User-to-User`` with parameters.

    Capitals are small letters. ValueError for anything else, which says what is wrong without a subject.
    """
    digits, *parameters = text.strip().lower().split(";")
    for parameter in parameters:
        found = _PARAMETER.fullmatch(parameter)
        if not found:
            raise ValueError("has a parameter that is not of the form name=value")
        if found[1] == "encoding" and found[2] != "hex":
            raise ValueError("is not in hex digits: its encoding must be hex")
    found = _UUI.fullmatch(digits.rstrip())
    if not found:
        raise ValueError(_WRONG)
    dnis = found[2].replace("a", "+") + found[3]
    token = urlsafe_b64encode(bytes.fromhex(found[1])).decode()
    if written(dnis, token) != found[0]:
        raise ValueError(_WRONG)
    return dnis, token
