"""Where the log goes, and what never gets into it."""

import logging
import re
from typing import Any

from cticache.ani import masked
from cticache.audit import LOGGER

_KEY = re.compile(r"(?<=/DNIS-ANI/)([^\s/?:\"']*):([^\s/?\"']*)")
_LONG_NUMBER = re.compile(r"\d(?:[ ()/-]*\d){5,}")


def without_numbers(text: str) -> str:
    """The text with every telephone number in it shown by its last digits alone.

    A count that may have six digits or more is logged with commas between its thousands: so written it is none.
    """
    text = _KEY.sub(lambda key: f"{masked(key[1])}:{masked(key[2])}", text)
    return _LONG_NUMBER.sub(lambda match: masked(match[0]), text)


class _Masking(logging.Formatter):
    """Shows no telephone number in full, neither in messages nor in tracebacks."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        record.message = without_numbers(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's own name
        return without_numbers(super().formatException(ei))


def configure() -> None:
    """Log to the standard error stream, one line a record, telephone numbers masked."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Masking("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    audit = logging.StreamHandler()  # its lines are masked already, and DNIS, tokens and digests must stay whole
    audit.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger(LOGGER).addHandler(audit)
    logging.getLogger(LOGGER).propagate = False
    logging.getLogger("waitress.queue").disabled = True  # a line for every request that waits for a thread
