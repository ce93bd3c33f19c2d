"""Times and sizes as people read them, in the unit that matters."""

_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def duration(seconds: float) -> str:
    """So long: ``18 s``, ``75 s``, ``3 d``."""
    for size, unit in _STEPS:
        if seconds >= 2 * size:
            return f"{seconds // size:,.0f} {unit}"
    return f"{seconds:,.0f} s"


def mebibytes(number: int) -> str:
    """So many bytes, in the unit that Redis calls ``mb`` in maxmemory."""
    return f"{number / 1_048_576:,.0f} MiB"
