"""One line of text, for clients that keep the first line and nothing else: the DNIS of a lease, the value of a call.

A refusal is empty, but for where the call is to go without its data; its code stands in a header.
"""

from cticache.errors import Refusal
from cticache.web.answers import Asked, Hit, plain

MEDIA_TYPE = "text/plain; charset=utf-8"
_ESCAPES = str.maketrans({"\\": "\\\\", "\r": "\\r", "\n": "\\n"})


def hit(answer: Hit) -> str:
    """The gist, in which a backslash and the ends of lines are escaped."""
    text = next(value for name, value in answer.members if name == answer.gist)
    return plain(text).translate(_ESCAPES)


def refusal(error: Refusal, _asked: Asked) -> str:
    """Nothing, or where the call is to go."""
    return str(error.members().get("transfer_to", ""))
