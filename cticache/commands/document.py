"""What a command prints for programs: one JSON document."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cticache import logs


def write(document: Mapping[str, Any], *, in_a_line: bool = False) -> None:
    """Print it in UTF-8, whatever the locale or the code page: so RFC 8259 (section 8.1) has JSON."""
    logs.in_utf8(sys.stdout)
    print(json.dumps(document, ensure_ascii=False, indent=None if in_a_line else 2, default=_time), flush=True)


def _time(value: object) -> str:
    """A time as RFC 3339 writes it."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} is not for JSON")
