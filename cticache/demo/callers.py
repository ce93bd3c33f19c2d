"""Callers that do not exist, and what becomes of their numbers in the phone network."""

import random
from itertools import count, cycle, islice
from typing import NamedTuple

WAYS = {
    "plus": "with a +1 before it",
    "zero": "with a zero before it",
    "withheld": "withheld",
}
"""What a carrier makes of an ANI."""
_LINES = range(100, 200)
"""555-0100 to 555-0199 are for fiction in each area of North America: nobody has them."""
_AREAS = [area for area in range(201, 990) if area // 10 % 10 != 9 and area % 100 != 11]
"""N9X and N11 are no areas."""
MOST = len(_AREAS) * len(_LINES)
"""Callers of whom no two have one number."""


class Caller(NamedTuple):
    """Someone whose call is handed over."""

    ani: str
    """The number as System X sees it."""
    way: str
    """One of WAYS; empty where the number arrives as it was."""
    is_lost: bool
    """Whether the call never arrives."""

    @property
    def seen(self) -> str:
        """The number as System Y sees it."""
        return {"plus": f"+1{self.ani}", "zero": f"0{self.ani}", "withheld": "anonymous"}.get(self.way, self.ani)


def callers(number: int, rewritten: int, lost: int, chance: random.Random) -> list[Caller]:
    """So many callers, of whom so many percent have their number rewritten, each way in turn, and so many are lost.

    The two percentages are 100 together at the most, and ``number`` is MOST.
    """
    ways = [*islice(cycle(WAYS), round(number * rewritten / 100))]
    losses = min(round(number * lost / 100), number - len(ways))
    fates = [(way, False) for way in ways] + [("", True)] * losses
    fates += [("", False)] * (number - len(fates))
    chance.shuffle(fates)
    first = chance.randrange(MOST)  # so that one demonstration does not meet the callers of the last
    return [Caller(_ani((first + at) % MOST), way, is_lost) for at, (way, is_lost) in zip(count(), fates, strict=False)]


def _ani(at: int) -> str:
    area, line = divmod(at, len(_LINES))
    return f"{_AREAS[area]}5550{_LINES[line]}"
