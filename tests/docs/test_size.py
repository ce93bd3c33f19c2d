"""docs/size.md reckons as the service does."""

import re

from cticache.operate.advice import numbers_needed
from kit.checkout import ROOT


def test_the_numbers_for_an_average_are_those_that_the_service_would_advise() -> None:
    text = (ROOT / "docs" / "size.md").read_text("utf-8")
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", text, re.MULTILINE)
    told = [tuple(int(cell.replace(",", "")) for cell in row) for row in rows]
    assert len(told) >= 5
    assert told == [(used, numbers_needed(used, 0.01), numbers_needed(used, 0.001)) for used, *_ in told]
