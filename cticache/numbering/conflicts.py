"""Options of the pools that do not fit together, though each is right by itself."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from cticache.numbering.country import Country, is_international
from cticache.numbering.numbers import NumberSet, Owners, Span, is_number, overlaps
from cticache.numbering.pool import Pool
from cticache.numbering.spellings import Spellings, Turn

MOST_LOOKS = 20_000
"""Most callers that one lease may examine to share a number: Redis serves nobody else meanwhile."""
_SHOWN = 3
"""How many spans of numbers that two pools share are named."""
_MOST_TOLD = 100
"""Of faults between two pools: where one pool was copied many times, there are as many as pairs of them."""
_MOST_COMPARED = 100
"""Of two ranges, how many numbers each has whose forms are compared."""
_OF_NO_POOL = "the fallback must be a number of no pool"
_NOTHING_WAITS = "without_data must be a number of no pool, on which no data waits: give another one"
_FEWEST_DIGITS = 8
"""Of a number that may be asked for after a plus: fewer are an extension, or a number that is local somewhere."""


class Conflict(NamedTuple):
    """An option of a pool that contradicts another."""

    pool: str
    option: str
    value: str
    wrong: str
    """What is wrong and what to do, without a subject."""


class Shared(NamedTuple):
    """Two pools that have numbers in common."""

    one: str
    other: str
    numbers: str


def conflicts(pools: Sequence[Pool]) -> Iterator[Conflict]:
    """Every conflict: pool by pool, and then the numbers that are in two spellings, as far as ``_twice`` finds them."""
    own = Owners(pool.numbers | pool.draining for pool in pools)
    fallbacks: dict[str, list[Pool]] = {}
    for pool in pools:
        fallbacks.setdefault(pool.fallback, []).append(pool)
    spellings = _spellings(pools)
    findable = _Findable(pools, spellings)
    for pool in pools:
        if not pool.numbers and not pool.draining:
            yield Conflict(pool.name, "numbers", "", "give at least one number or range of the pool")
        if pool.ttl_ms > pool.max_ttl_ms:
            most = f"must not be above max_ttl = {pool.max_ttl_ms // 1000}"
            yield Conflict(pool.name, "ttl", str(pool.ttl_ms // 1000), most)
        if pool.match == "sole" and pool.exhausted != "reject":
            wanted = f"needs exhausted = reject, for one caller a number; exhausted is {pool.exhausted}"
            yield Conflict(pool.name, "match", "sole", wanted)
        if pool.dnis_digits and (alike := pool.every_number.alike(pool.dnis_digits)):
            wanted = f"does not tell {alike[0]} and {alike[1]} apart; give more digits, or leave it empty for all"
            yield Conflict(pool.name, "dnis_digits", str(pool.dnis_digits), wanted)
        if wrong := _wrong_fallback(pool, [pools[at] for at in own.of(pool.fallback)], fallbacks[pool.fallback]):
            yield Conflict(pool.name, "fallback", pool.fallback, wrong)
        if wrong := findable.wrong(pool):
            yield Conflict(pool.name, "without_data", pool.without_data, f"{wrong}; {_NOTHING_WAITS}")
        yield from _withheld(pool, spellings[pool.country])
        if pool.share_scan * pool.max_callers > MOST_LOOKS:
            most = f"times max_callers = {pool.max_callers} must not be above {MOST_LOOKS}, or a call holds up Redis"
            yield Conflict(pool.name, "share_scan", str(pool.share_scan), most)
    yield from _twice(pools, spellings)


def shared(pools: Sequence[Pool]) -> Iterator[Shared]:
    """Pairs of pools with numbers in common, and a few of those numbers: the first hundred pairs that are found."""
    found: dict[tuple[int, int], list[Span]] = {}
    for one, other, span in overlaps([pool.numbers | pool.draining for pool in pools]):
        if len(found) == _MOST_TOLD and (one, other) not in found:
            break
        spans = found.setdefault((one, other), [])
        if len(spans) <= _SHOWN:
            spans.append(span)
    for (one, other), spans in sorted(found.items()):
        numbers = ", ".join(map(str, spans[:_SHOWN])) + (" and more" if len(spans) > _SHOWN else "")
        yield Shared(pools[one].name, pools[other].name, numbers)


def remarks(pool: Pool) -> Iterator[str]:
    """What about the pool may be meant, and may be a mistake, each in a sentence that says why."""
    if number := not_international(pool):
        yield (
            f"{number} cannot be asked for as +.., as cloud platforms do: "
            "set country_code to the calling code of its country"
        )
    needed_ms = pool.ttl_ms + pool.pair_rest_ms
    if pool.match != "exact" and pool.after_loss_ms < needed_ms:
        yield (
            f"after_loss = {pool.after_loss_ms // 1000} is shorter than a call and its rest, {needed_ms // 1000} s: "
            f"under match = {pool.match}, a caller whose call Redis lost may then be given another's data"
        )
    if pool.fallback and pool.exhausted != "fallback":
        yield f"fallback = {pool.fallback} is never used: that takes exhausted = fallback, not {pool.exhausted}"


def not_international(pool: Pool) -> str:
    """A number of the pool that is not found if it is asked for as +.., as far as can be told; empty if there is none.

    It is looked for at the ends of the ranges.
    """
    if pool.dnis_digits:
        return ""
    is_whole = pool.country.is_whole if pool.country else is_international
    for span in pool.every_number.spans:
        if not span.plus and span.digits >= _FEWEST_DIGITS:
            for number in (span.number(span.first), span.number(span.last)):
                if not is_whole(number):
                    return number
    return ""


def _wrong_fallback(pool: Pool, owners: Sequence[Pool], fallback_of: Sequence[Pool]) -> str:
    """``owners``: the pools whose number it is; ``fallback_of``: those whose fallback it is."""
    if not pool.fallback:
        missing = pool.exhausted == "fallback"
        return "give the number for callers beyond the pool's own, or another exhausted" if missing else ""
    for other in owners:
        return f"is a number of [pool:{other.name}]; {_OF_NO_POOL}"
    for other in fallback_of[:2]:
        if other is not pool:
            return f"is the fallback of [pool:{other.name}], too; give each pool its own"
    return ""


class _Findable:
    """Where a question for the number of calls without data would look for a call, though none of them has one."""

    def __init__(self, pools: Sequence[Pool], spellings: Mapping[Country | None, Spellings]) -> None:
        self._pools = pools
        self._spellings = spellings
        self._owners = Owners(pool.every_number for pool in pools)
        by_digits: dict[int, list[Span]] = {}
        for pool in pools:
            if pool.dnis_digits:
                by_digits.setdefault(pool.dnis_digits, []).extend(pool.every_number.spans)
        self._by_digits = {digits: NumberSet(spans) for digits, spans in by_digits.items()}

    def wrong(self, pool: Pool) -> str:
        """What is wrong with the pool's ``without_data``; empty where nothing is."""
        number = pool.without_data
        if not number:
            return ""
        for other in self._having(number):
            return f"is {'the fallback' if number == other.fallback else 'a number'} of [pool:{other.name}]"
        return self._in_another_spelling(number, pool) or self._by_ending(number, pool)

    def _having(self, number: str) -> Iterator[Pool]:
        return (self._pools[at] for at in self._owners.of(number))

    def _in_another_spelling(self, number: str, pool: Pool) -> str:
        turned = number.removeprefix("+") if number.startswith("+") else f"+{number}"
        for other in self._having(turned):
            return f"is the same number as {turned} of [pool:{other.name}], but for the plus"
        for country, spellings in self._spellings.items():
            for found in spellings.others(number, self._owners.of):
                for other in self._having(found):
                    is_one = country == pool.country and _are_one(
                        number, found, spellings, self._spellings[other.country]
                    )
                    if country and (is_one or country == other.country):
                        under = f"under country_code = {country.code}"
                        return f"is the same number as {found} of [pool:{other.name}], {under}"
        return ""

    def _by_ending(self, number: str, pool: Pool) -> str:
        """The pool's own system may name it by its last digits alone; to others it is what they see in full."""
        digits, own = number.removeprefix("+"), pool.dnis_digits
        if own and len(digits) >= own and (alike := pool.every_number.ending(digits[-own:])):
            return f"ends like {alike[0]}, and dnis_digits = {own} does not tell them apart"
        for count, numbers in self._by_digits.items():
            if len(digits) >= count and (alike := numbers.agreeing(digits, count)):
                other = next(self._having(alike[0]))
                return f"ends in {alike[0]} of [pool:{other.name}], which has dnis_digits = {count}"
        return ""


def _withheld(pool: Pool, spellings: Spellings) -> Iterator[Conflict]:
    for number in filter(is_number, pool.withheld):
        for found in chain((number,), spellings.others(number, pool.every_number.__contains__)):
            if found in pool.every_number:
                which = "" if found == number else f", {found}"
                wanted = f"is a number of the pool itself{which}; one that is not to be leased belongs in draining"
                yield Conflict(pool.name, "withheld", number, wanted)
                break


def _spellings(pools: Sequence[Pool]) -> dict[Country | None, Spellings]:
    numbers: dict[Country | None, list[NumberSet]] = {}
    for pool in pools:
        numbers.setdefault(pool.country, []).append(pool.every_number)
    return {country: Spellings(country, sets) for country, sets in numbers.items()}


def _twice(pools: Sequence[Pool], spellings: dict[Country | None, Spellings]) -> Iterator[Conflict]:
    """Numbers of the pools that are one under a pool's country, or that differ by a plus alone.

    For two pools a few are told, and a hundred in all. Whole ranges are turned into every other spelling. Where that
    meets numbers of a pool, they may still be other numbers to the country. So up to a hundred are compared; of more,
    the ends and some hundred round numbers between them. What is alike only in between those is not found, nor what is
    written with a prefix that no end of a range has (Spellings).
    """
    owners = Owners(pool.every_number for pool in pools)
    turns: dict[tuple[Country | None, str, int], list[Turn]] = {}
    told: dict[tuple[int, int], set[frozenset[str]]] = {}
    for at, pool in enumerate(pools):
        of_pool = spellings[pool.country]
        for span in pool.every_number.spans:
            form = pool.country, span.plus, span.digits
            if form not in turns:
                turns[form] = [turn for turn in of_pool.turns if _is_used(turn, span, owners)]
            for turn in turns[form]:
                for other, one, two in _met(span, turn, owners):
                    pair = _first_pair(one, two, of_pool, spellings[pools[other].country])
                    of_both = told.setdefault((min(at, other), max(at, other)), set())
                    if not pair or frozenset(pair) in of_both or len(of_both) == _SHOWN:
                        continue
                    of_both.add(frozenset(pair))
                    yield _conflict(pools, (at, other), pair, pool.country)
                    if sum(map(len, told.values())) == _MOST_TOLD:
                        return


def _is_used(turn: Turn, span: Span, owners: Owners) -> bool:
    form = turn.form(span.plus, span.digits)
    return form is not None and owners.has_form(*form)


def _met(span: Span, turn: Turn, owners: Owners) -> Iterator[tuple[int, Span, Span]]:
    """Where the turned span meets numbers: whose they are, the numbers of the span, and theirs."""
    found = turn.turned(span)
    if found:
        own, turned = found
        for other, met in owners.meeting(turned):
            shift = own.first - turned.first
            yield other, own._replace(first=met.first + shift, last=met.last + shift), met


def _first_pair(one: Span, other: Span, ours: Spellings, theirs: Spellings) -> tuple[str, str] | None:
    """The first numbers of the two, one beside the other, that are one number to us; None if none is found.

    They are two if the other pool's own country reads its number as another one.
    """
    for at in _some(one.first, one.last - one.first + 1):
        first, second = one.number(one.first + at), other.number(other.first + at)
        if first != second and (_but_for_the_plus(first, second) or _are_one(first, second, ours, theirs)):
            return first, second
    return None


def _some(first: int, count: int) -> Iterator[int]:
    """Which of ``count`` numbers from ``first`` to look at: all of a few; else both ends, and the round ones."""
    step = 1 if count <= _MOST_COMPARED else 10 ** len(str((count - 1) // _MOST_COMPARED))
    yield from (0, count - 1)
    yield from range(-first % step, count, step)


def _are_one(first: str, second: str, ours: Spellings, theirs: Spellings) -> bool:
    form = ours.form(second)
    return ours.form(first) == form and not theirs.denies(second, form)


def _but_for_the_plus(one: str, other: str) -> bool:
    return one.removeprefix("+") == other.removeprefix("+")


def _conflict(pools: Sequence[Pool], at: tuple[int, int], pair: tuple[str, str], country: Country | None) -> Conflict:
    """The fault of a fallback; else of the later pool, and in one pool of the later of its numbers."""
    both = sorted((pools[index].fallback == number, index, number) for index, number in zip(at, pair, strict=True))
    (_, other_at, other), (is_fallback, own_at, own) = both
    where = "" if other_at == own_at else f" of [pool:{pools[other_at].name}]"
    pool = pools[own_at]
    option = "fallback" if is_fallback else "numbers" if own in pool.numbers else "draining"
    why = "but for the plus" if _but_for_the_plus(*pair) or not country else f"under country_code = {country.code}"
    wanted = _OF_NO_POOL if is_fallback else "keep one of them"
    return Conflict(pool.name, option, own, f"is the same number as {other}{where}, {why}; {wanted}")
