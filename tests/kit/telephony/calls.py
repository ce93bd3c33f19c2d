"""The calls, and whether each of them arrived with the data that its own System X had, and with no other."""

import random
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_CALLER = "sip:{ani}@example.com"
_WITHHELD = "sip:anonymous@anonymous.invalid"
_NO_HEADER = "X-None: 0"
"""A line that says nothing: an empty one would end the INVITE's header."""


@dataclass(frozen=True)
class Variant:
    """Calls of one kind. They have a pool of their own, by whose name System X is called and leases."""

    name: str
    numbers: str = ""
    """The pool's, few enough that each is lent many times. Empty: these calls are sent on without a hand-over."""
    options: str = ""
    """More lines of the pool's section."""
    shown: str = _CALLER
    """What From says of the caller."""
    header: str = _NO_HEADER
    """One more of the caller's INVITE."""
    callers: int = 40
    """So few that one has several calls at a time, unless the pool is too small for that."""
    a_second: int = 50
    """At most so many in a second."""

    def section(self) -> str:
        """The pool, as config.ini has it. A number is lent to another caller as soon as its call was taken."""
        return f"[pool:{self.name}]\nnumbers = {self.numbers}\ncooldown = 0\nremember = 1\n{self.options}\n"


NONE = Variant("none")
UUI = Variant(
    "uui",
    "5556300000, 5556400000, 5558200000, 5558300000",
    "uui = yes",
    header=f"User-to-User: {'0' * 24}5556300000",
    callers=10_000,
)
"""Four numbers: two that are taken, one that is read, one that is deleted. No two calls of a caller share one. The
caller sends a header as X does, but of no lease.
"""
PLAIN = Variant("plain", "5552000000-5552000011")
VARIANTS = (
    PLAIN,
    Variant("withheld", "5552100000-5552100079", shown=_WITHHELD),
    Variant("nameless", "5552400000-5552400079", shown="sip:example.com"),
    Variant("asserted", "5552200000-5552200011", shown=_WITHHELD, header=f"P-Asserted-Identity: <{_CALLER}>"),
    # Its caller sends a header as X does, though this pool has no uui.
    Variant("repeated", "5552300000-5552300011", header=f"User-to-User: {'0' * 24}5552300000"),
    Variant("country", "5556000000-5556000011", "country_code = 1"),
    Variant("sole", "5556100000-5556100149", "match = sole\nexhausted = reject"),
    Variant("plus", "5556200000-5556200011", "country_code = 1"),
    Variant("read", "5558000000-5558000999"),
    Variant("delete", "5558100000-5558100011", a_second=20),  # Y starts a program for each
    UUI,
)
"""What carrier.cfg in tests/telephony does to a call, and how y.cfg there asks, its number's first digits say."""


class Call(NamedTuple):
    """One call, as it is made."""

    number: int
    variant: Variant
    ani: str
    account: str
    """What System X knows of it, and nobody else."""

    def line(self) -> str:
        """As SIPp injects it into tests/telephony/uac.xml."""
        shown, header = (each.format(ani=self.ani) for each in (self.variant.shown, self.variant.header))
        return f"{self.number};{self.variant.name};{shown};{header};{self.account}\n"


def made(shares: Iterable[tuple[Variant, int]]) -> list[Call]:
    """So many calls of each variant, well mixed."""
    variants = [variant for variant, count in shares for _ in range(count)]
    random.shuffle(variants)
    return [Call(number, variant, _ani(variant), _account()) for number, variant in enumerate(variants)]


def _ani(variant: Variant) -> str:
    return f"21255{random.randrange(variant.callers):05}"


def _account() -> str:
    """Its end is what a careless program would read as a variable, as a quotation's end, or as an escape."""
    return f'00{secrets.token_hex(6)} $rU "\\n%41 ü'


class Told(NamedTuple):
    """What X or Y has told of a call: tests/telephony/witness.cfg."""

    took_us: int
    code: str
    dnis: str
    first: str = ""
    put_off: int = 0

    @classmethod
    def of(cls, text: str) -> "Told":
        took_us, code, dnis, first, put_off = ("" if word == "<null>" else word for word in text.split())
        return cls(int(took_us), code, dnis, first, int(put_off or 0))


class Outcome(NamedTuple):
    """How a call was answered."""

    number: int
    took_us: int
    """From the caller's INVITE to the answer."""
    x: Told
    y: Told
    leaked: str
    """What Y had seen of the header in which X got the data."""
    data: str
    """What Y handed over with the call."""


_LOGGED = re.compile(r"(\d+)\t(\d+)\.0* (\d+)\.0* (\d+)\.0* (\d+)\.0*\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t\n]*)\n")


def outcomes(log: Path) -> list[Outcome]:
    """Those that the callers have logged by now."""
    found = []
    text = log.read_text("utf-8") if log.exists() else ""
    for number, began_s, began_us, ended_s, ended_us, x, y, leaked, data in _LOGGED.findall(text):
        took_us = (int(ended_s) - int(began_s)) * 1_000_000 + int(ended_us) - int(began_us)
        found.append(Outcome(int(number), took_us, Told.of(x), Told.of(y), leaked, data))
    return found


@dataclass
class Verdict:
    """The calls that did not arrive with their own data, each list for its own reason."""

    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """X got no number for them, and sent them on without data, as it should."""

    def faults(self) -> list[str]:
        """All but the refused ones, with what is wrong."""
        return [
            f"{kind}: {what}" for kind in ("wrong", "lost", "unexpected", "unanswered") for what in getattr(self, kind)
        ]


def judged(calls: Sequence[Call], answered: Iterable[Outcome]) -> Verdict:
    """What became of each call."""
    verdict = Verdict()
    owners = {call.account: call for call in calls}
    by_number: dict[int, list[Outcome]] = {}
    for outcome in answered:
        by_number.setdefault(outcome.number, []).append(outcome)
    for call in calls:
        found = by_number.pop(call.number, [])
        name = f"call {call.number} ({call.variant.name})"
        if len(found) != 1:
            verdict.unanswered.append(f"{name} was answered {len(found)} times")
        for outcome in found:
            _judge(verdict, name, call, outcome, owners)
    verdict.unexpected += [f"nobody made call {number}" for number in by_number]
    return verdict


def _judge(verdict: Verdict, name: str, call: Call, outcome: Outcome, owners: dict[str, Call]) -> None:
    asked = f"number {outcome.x.dnis or 'of none'}, X was told {outcome.x.code}, Y {outcome.y.code}"
    if outcome.leaked:
        verdict.unexpected.append(f"{name}: Y saw what X was given, {asked}")
    if outcome.x.first and outcome.x.first != outcome.x.dnis:
        verdict.wrong.append(f"{name}: the repeated POST got another number than {outcome.x.first}, {asked}")
    if not outcome.x.dnis:
        if call.variant.numbers:
            verdict.refused.append(f"{name}: {asked}")
        if outcome.data:
            verdict.unexpected.append(f"{name}: there are data without a lease, {asked}")
    elif not outcome.data:
        verdict.lost.append(f"{name}: {asked}")
    elif outcome.data != call.account:
        owner = owners.get(outcome.data)
        of = f"those of call {owner.number} ({owner.variant.name})" if owner else f"of nobody: {outcome.data!r}"
        verdict.wrong.append(f"{name}: the data are {of}, {asked}")
