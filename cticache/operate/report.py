"""What the commands `advise`, `check` and `explain` print, as lines for a person, and words that others use, too."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from cticache.data.counters import DIFFERENCES
from cticache.operate.advice import ARRIVED, LEAST_TAKES, Advice

_MOST_LISTED = 5


def complaint_lines(found: Sequence[str]) -> list[str]:
    """What check found, marked so that it stands out of what was merely seen, and in the last line how much it is."""
    return [
        *(f"COMPLAINT: {complaint}" for complaint in found),
        counted(len(found), "complaint") if found else "all well",
    ]


def explain_lines(place: Mapping[str, Any]) -> Iterator[str]:
    """What operate.explain found in one place."""
    yield f"pool {place['pool']}, number {place['dnis']}, match = {place['rule']}"
    for step in place["steps"]:
        yield f"  {step['step']}: {step['gives'] or 'withheld'}"
    yield f"  canonical: {place['canonical'] or 'withheld'}" + _of(place, "; digest in the audit: {}")
    for call in place["live"]:
        yield (
            f"  live: {call['ani']} ({call['digits']} digits{_of(call, ', digest {}')}), leased by {call['lessee']} at "
            f"{call['leased_at']}, token {call['token']}, ends in {call['expires_in']} s"
        )
    if not place["live"]:
        yield "  live: no call on this number"
    yield f"  {place['says']}"


def _of(told: Mapping[str, Any], words: str) -> str:
    """The digest in these words; nothing where it is not known."""
    return words.format(told["digest"]) if told["digest"] else ""


def advice_lines(advice: Advice, pool_name: str) -> list[str]:
    """The advice as sentences, one to a line."""
    if not advice.busy:
        return _until_an_hour_is_over(advice, pool_name)
    calls = advice.busy.calls
    refused = f"{advice.refused:,}" if advice.refused else "none"
    return [
        f"{pool_name}: {refused} of {advice.calls:,} call{'' if advice.calls == 1 else 's'} "
        f"{'were' if advice.refused > 1 else 'was'} refused for want of a number, in "
        f"{advice.hours:,} hour{'' if advice.hours == 1 else 's'} with calls of the last eight days",
        f"  busy hour: {advice.busy.start:%Y-%m-%d %H:%M} UTC, {calls:,} call{'' if calls == 1 else 's'} "
        f"offered, {'' if calls == 1 else 'each '}holding a number for {_decimal(advice.holding_s)} s"
        f"{'' if calls == 1 else ' on average'}: {_decimal(advice.offered)} Erlang (numbers busy on average)",
        f"  numbers: has {advice.size:,}; {_are(advice.needed_for_1_percent)} needed for 1 % blocking "
        f"(calls that find none free), {advice.needed_for_01_percent:,} for 0.1 %",
        f"  load: at most {advice.peak:,} {'was' if advice.peak == 1 else 'were'} leased at once; with {advice.size:,} "
        f"{'number' if advice.size == 1 else 'numbers'} the busy hour has {_percent(advice.blocking)} blocking",
        f"  ttl: {_ttl_sentence(advice)}",
        *_withheld_line(advice),
        *_other_line(advice),
        *_suspects(advice),
    ]


def _until_an_hour_is_over(advice: Advice, pool_name: str) -> list[str]:
    """What is known while there is no whole hour to go by, and from when on there is more."""
    so_far = advice.so_far
    if not so_far:
        return [
            f"{pool_name}: nothing has been leased in the last eight days; numbers are advised once an hour with calls "
            f"is over, a ttl from {LEAST_TAKES:,} takes on"
        ]
    refused = f"{so_far.rejected:,}" if so_far.rejected else "none"
    return [
        f"{pool_name}: how many numbers it needs is said from {so_far.start + timedelta(hours=1):%H:%M} UTC on, when "
        "its first hour with calls is over",
        f"  so far: {counted(so_far.calls, 'call')} since {so_far.start:%H:%M} UTC, {refused} refused for want of a "
        f"number; {so_far.taken:,} taken, {so_far.unclaimed:,} ended without being asked for; "
        f"{counted(so_far.missed, 'question')} found nothing",
        f"  load: at most {so_far.peak:,} of {counted(advice.size, 'number')} "
        f"{'was' if so_far.peak == 1 else 'were'} leased at once",
        f"  ttl: {_ttl_sentence(advice)}",
        *_other_line(advice),
        *_suspects(advice),
    ]


def _suspects(advice: Advice) -> Iterator[str]:
    for dnis, count in advice.suspects.items():
        picked = f"its last {count:,} leases were not picked up while others were"
        yield f"  look at {dnis}: {picked}: is its routing broken?"


def _withheld_line(advice: Advice) -> Iterator[str]:
    if hour := advice.withheld:
        needed, some = advice.needed_for_withheld, hour.withheld != 1
        yield (
            f"  withheld: {hour.withheld:,} withheld caller{'s' if some else ''} in the hour from "
            f"{hour.start:%Y-%m-%d %H:%M} UTC, {'each ' if some else ''}keeping a number from the next one "
            f"for {_decimal(advice.withheld_s)} s: for these alone {_are(needed)} needed for 1 % blocking, "
            f"{'and' if needed <= advice.size else 'but'} the pool has {advice.size:,}"
        )


def _other_line(advice: Advice) -> Iterator[str]:
    if advice.differences:
        leased = advice.so_far.leased if advice.so_far else advice.calls - advice.refused
        told = "; ".join(
            f"{count:,} {DIFFERENCES[kind]}" + (advice.remedies[kind] and f", which {advice.remedies[kind]}")
            for kind, count in advice.differences.items()
        )
        yield (
            f"  other ANI: of {leased:,} calls {advice.other_live:,} were asked for under "
            f"another ANI than was posted, more than chance explains: {told}"
        )


def _ttl_sentence(advice: Advice) -> str:
    transit, ttl, better = advice.transit_s, advice.ttl_s, advice.suggested_ttl_s
    if transit is None or better is None:
        if advice.unclaimed <= 1 - ARRIVED:  # calls only read, or still on their way, have no transit
            return (
                f"too few calls were taken to tell whether ttl = {ttl} suits them: {advice.takes:,} of {LEAST_TAKES:,}"
            )
        return (
            f"fewer than 99.9 % of calls arrive within the TTL of {ttl:,} s: {_percent(advice.unclaimed)} were not "
            "picked up; look at routing, or at the caller's number (ANI) that the receiving system sees, before "
            "raising it"
        )
    known = f"99.9 % of calls arrive within {transit:,} s; "
    if better < transit:
        return f"{known}max_ttl = {better} is too short for that, unless leases are renewed on the way"
    if ttl < better:
        return f"{known}ttl = {ttl} leaves little room, {better} would be safer"
    if ttl > 2 * better:
        return f"{known}ttl = {ttl} holds numbers of lost calls for long, {better} would do"
    return f"{known}ttl = {ttl} suits that"


def _are(count: int) -> str:
    return f"{count:,} {'is' if count == 1 else 'are'}"


def _decimal(value: float) -> str:
    return "less than 0.1" if value < 0.05 else f"{value:,.1f}"


def _percent(share: float) -> str:
    """A share as a percentage, with no more digits than say something: ``3.1 %``, ``0.02 %``, ``100 %``."""
    if 0 < share < 0.0001:
        return "less than 0.01 %"
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + " %"


def counted(count: int, noun: str) -> str:
    """Such as ``1 pool`` or ``2 pools``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(names: Collection[str]) -> str:
    """The names in order, or the first of many."""
    first = ", ".join(sorted(names)[:_MOST_LISTED])
    return first if len(names) <= _MOST_LISTED else f"{first} and {len(names) - _MOST_LISTED:,} more"
