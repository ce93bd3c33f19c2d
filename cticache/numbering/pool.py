"""A pool: the numbers of one receiving system, and the rules by which they are leased and their calls are found."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from cticache.numbering.ani import WITHHELD, form_of, read, steps, word
from cticache.numbering.country import Country
from cticache.numbering.numbers import MAX_DIGITS, NumberSet, hint, listed, unspaced
from cticache.options import Text, Whole, Word, YesNo, declared

Exhausted = Literal["share", "reject", "fallback"]
Match = Literal["exact", "suffix", "sole"]

_LIKE_A_CALL = -1
"""For as long as a call may be asked for."""
MOST_NUMBERS = 5_000_000
"""Most numbers in one pool."""
MOST_CALLERS = 1000
"""Most live callers on one number that are examined; with more, who is meant counts as ambiguous."""

_NUMBER = re.compile(rf"\+?[0-9]{{1,{MAX_DIGITS}}}")
_ALL_DIGITS = re.compile(r"[\d+\s().\-/]+")
"""What is meant as a number, or as several, in whatever digits."""
_NOTHING_LISTED = re.compile(r"(?:^|,)[^\S\r\n]*,")


def _numbers(text: str) -> NumberSet:
    return NumberSet.parse(text, MOST_NUMBERS)


def _number(text: str) -> str:
    if text and (listed(text) != [text] or not _NUMBER.fullmatch(unspaced(text))):
        raise ValueError(f"must be one number of 1 to {MAX_DIGITS} digits, such as 5559990001, or empty{hint(text)}")
    return text


def _withheld(text: str) -> tuple[str, ...]:
    """Numbers, and words as ``word`` gives them."""
    if _NOTHING_LISTED.search(text):
        raise ValueError("has a comma with nothing before it: leave it out")
    return tuple(map(_one_withheld, listed(text)))


def _one_withheld(part: str) -> str:
    if _ALL_DIGITS.fullmatch(part):
        if not _NUMBER.fullmatch(unspaced(part)):
            raise ValueError(f"{part!r} is not one number of 1 to {MAX_DIGITS} digits, such as +266696687{hint(part)}")
        return part
    if ";" in part:
        raise ValueError(f"{part!r} has a semicolon inside: put a comma or a new line between two")
    if not any(map(str.isalnum, part)) or re.search(r"\s#", part):
        raise ValueError(f"{part!r} is no word or number as a carrier sends it, such as No Caller ID or +266696687")
    bare = read(part).bare
    if '"' in part or bare not in (part, WITHHELD):
        raise ValueError(f"{part!r} has something around it: give the word or the number alone, such as No Caller ID")
    return word(part)


@dataclass(frozen=True)
class Pool:
    """The numbers of one receiving system and how they are lent: [pool:NAME]. Times are whole milliseconds."""

    name: str
    numbers: NumberSet = declared(Text(_numbers), NumberSet())
    """What is leased: the configured numbers without the draining ones."""
    draining: NumberSet = declared(Text(_numbers), NumberSet())
    """No longer leased; their live calls can still be asked for."""
    ttl_ms: int = declared(Whole(1, 86_400, "seconds", times=1000), 300_000, name="ttl")
    max_ttl_ms: int = declared(Whole(1, 86_400, "seconds", times=1000), 3_600_000, name="max_ttl")
    cooldown_ms: int = declared(Whole(0, 86_400, "seconds", times=1000), 5_000, name="cooldown")
    exhausted: Exhausted = declared(Word(*get_args(Exhausted)), "share")
    fallback: str = declared(Text(_number), "")
    """The number for callers beyond the pool's own; empty without one."""
    without_data: str = declared(Text(_number), "")
    """Where a call goes whose data could not be kept: a number of no pool; empty without one."""
    share_scan: int = declared(Whole(1, 1000, "numbers"), 64)
    max_callers: int = declared(Whole(1, MOST_CALLERS, "callers"), 20)
    match: Match = declared(Word(*get_args(Match)), "exact")
    """The loosest grade by which a call is found."""
    match_digits: int = declared(Whole(1, 32, "digits"), 7)
    country: Country | None = declared(Text(lambda code: Country.of(code) if code else None), None, name="country_code")
    """How callers' numbers are written; None: only their digits count."""
    withheld: tuple[str, ...] = declared(Text(_withheld), ())
    """Words and numbers that the carrier sends for a withheld number, beside those that every pool knows."""
    dnis_digits: int = declared(Whole(1, 32, "digits", empty=0), 0)
    """Trailing digits by which the receiving system names a number; 0: all of them."""
    retry_window_ms: int = declared(Whole(0, 3600, "seconds", times=1000), 0, name="retry_window")
    remember_ms: int = declared(Whole(1, 3600, "seconds", times=1000), 60_000, name="remember")
    """How long it is remembered that a call was taken."""
    careful_ms: int = declared(
        Whole(0, 86_400, "seconds", times=1000, empty=_LIKE_A_CALL), _LIKE_A_CALL, name="after_loss"
    )

    uui: bool = declared(YesNo(), False)
    """Whether a lease is always answered with its uui, by which the call is found whatever becomes of its ANI."""

    def canonical(self, bare: str) -> str:
        """The canonical form of a caller's number that is bare already (cticache.numbering.ani.read).

        ValueError when it is no number, nor a word that this pool has for a withheld one.
        """
        try:
            return form_of(bare, self.country, self._withheld_forms)
        except ValueError as error:
            if not any(map(str.isalpha, bare)):
                raise
            listed_there = (
                f"if your carrier sends this for a withheld caller, list it under [pool:{self.name}] withheld"
            )
            raise ValueError(f"{error}; {listed_there}") from None

    def steps(self, ani: str) -> list[tuple[str, str]]:
        """How it arrives at the canonical form of an ANI as it was sent (cticache.numbering.ani.steps)."""
        return steps(ani, self.country, self._withheld_forms)

    @cached_property
    def every_number(self) -> NumberSet:
        """Those that are leased, the draining ones and the fallback."""
        return self.numbers | self.draining | NumberSet.parse(self.fallback, 1)

    @cached_property
    def _withheld_forms(self) -> frozenset[str]:
        numbers = [each for each in self.withheld if _NUMBER.fullmatch(each)]
        plain = [each.removeprefix("+") for each in numbers]  # the carrier may send it without its plus
        return frozenset(self.withheld) | {form_of(each, self.country) for each in numbers + plain}

    @property
    def rest_ms(self) -> int:
        """How long a number rests after its last call.

        Where less than the whole ANI may match, that is at least as long as a take is remembered: otherwise a repeated
        take could meet the number's next call, or that call's own take could be refused as a repeated one.
        """
        return self.cooldown_ms if self.match == "exact" else self.pair_rest_ms

    @property
    def after_loss_ms(self) -> int:
        """How long calls are found by their own ANI alone after Redis lost some: until the callers are off the line."""
        return self.ttl_ms + self.pair_rest_ms if self.careful_ms == _LIKE_A_CALL else self.careful_ms

    @property
    def pair_rest_ms(self) -> int:
        """How long a number and an ANI rest as a pair after their call, taken or not: while one may ask for it."""
        return max(self.cooldown_ms, self.remember_ms)

    def after(self, other: "Pool", ms: int) -> int:
        """When a number that rests in another pool until ``ms`` may be leased here: the longer rest counts."""
        return ms + max(self.pair_rest_ms - other.pair_rest_ms, 0)
