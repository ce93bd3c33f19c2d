"""One fault, and how the service is put under load while it befalls."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import uuid4

from kit.clusters import seen
from kit.faults.checker import Finding, excused, findings, slow, violations
from kit.faults.clients import Load
from kit.faults.history import EVER, Course, Entry, documented
from kit.faults.stage import TIMEOUT_S, Service

Scene = TypeVar("Scene")
"""What the fault befalls: the service and what it stands on."""


@dataclass(frozen=True)
class Form:
    """How much is asked, and for how long each fault lasts."""

    clients: int
    pause_s: float
    """Of each client between two requests."""
    lasts_s: float
    """Of a fault that has no length of its own."""
    after_s: float
    """For how long the load goes on after the service has recovered."""
    times: int
    """How often that befalls which is over at once."""
    disconnects: int
    has_crowds: bool


SHORT = Form(clients=3, pause_s=0.01, lasts_s=0.2, after_s=0.1, times=5, disconnects=100, has_crowds=False)
LONG = Form(clients=6, pause_s=0.001, lasts_s=2.0, after_s=1.0, times=40, disconnects=5_000, has_crowds=True)


@dataclass(frozen=True)
class Fault(Generic[Scene]):
    """What befalls, by name."""

    name: str
    befall: Callable[[Scene, Form], Course]
    """Does it, and returns when it is over."""
    crowd: int = 0
    """How many clients more there are in the long form that ask little: more than threads, where all of them wait."""
    alone: bool = False
    """Whether it leaves nothing for another to befall."""


@dataclass
class Row:
    """What came of one fault under one dispatcher."""

    fault: str
    dispatch: str
    log: Sequence[Entry]
    recovered_s: float
    late_s: float
    """By how much the machine was late by itself: in waking a client, and in answering it before the fault."""
    within_s: float
    """Every answer must have come within so many seconds."""
    found: Sequence[Finding]
    course: Course
    counted: Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        self.counted = Counter(_answer(entry) for entry in [*self.log, *self.course.extra])

    @property
    def violations(self) -> list[str]:
        """What must not be, times left aside."""
        return violations(self.found)

    @property
    def slow(self) -> list[str]:
        """What came too late."""
        spared = [entry for entry in self.log if entry.pool in self.course.spared]
        late = slow(self.log, self.within_s) + slow(spared, _SPARED_S + self.late_s)
        if self.recovered_s > self.course.recovers_s + self.course.held_s + self.late_s:
            late.append(f"late: a lease {self.recovered_s:.2f} s after the fault")
        return late

    def told(self) -> str:
        """The row of the table."""
        answers = ", ".join(f"{answer} {count:,}" for answer, count in sorted(self.counted.items()))
        slowest = max(entry.end - entry.begin for entry in self.log)
        lost = ", ".join(f"{kind} {count}" for kind, count in sorted(excused(self.found).items()))
        kinds = Counter(line.partition(":")[0] for line in [*self.violations, *self.slow])
        broken = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
        cells = [
            *(self.fault, self.dispatch, f"{len(self.log):,}", answers, f"{slowest:.2f} ({self.within_s:.1f})"),
            *(f"{self.recovered_s:.2f}", lost or "-", broken or "0"),
        ]
        return f"| {' | '.join(cells)} |"


_RECOVERS_S = 60.0
_CROWD_PAUSE_S = 0.3
_SPARED_S = 0.5
"""Within so long a pool answers that nothing befell."""

HEAD = """\
| fault | dispatch | requests | answers | slowest (limit), s | a 201 after, s | lost with Redis | violations |
|---|---|---|---|---|---|---|---|"""


def _answer(entry: Entry) -> str:
    kind = "garbage: " if entry.what == "garbage" else ""
    return kind + f"{entry.status or ''} {entry.code}".strip()


def run(fault: Fault[Scene], scene: Scene, service: Service, form: Form) -> Row:
    """Befall the service with it, under load."""
    pauses = [form.pause_s] * form.clients + [_CROWD_PAUSE_S] * (fault.crowd if form.has_crowds else 0)
    load = Load(service.port, service.pools, uuid4().hex[:8], pauses)
    try:
        seen(lambda: len(load.leased_since(0)) >= 5 * form.clients)
        course = fault.befall(scene, form)
        recovered_s = _recovered(load, course.end)
        time.sleep(form.after_s)
        log, late_s = load.end()
        assert course.is_all(), "more befell than was meant to: this machine is too busy"
    finally:
        load.close()
    late_s = max([late_s, *(entry.end - entry.begin for entry in log if entry.end < course.begin)])
    within_s = TIMEOUT_S + 0.5 + course.held_s + late_s
    found = findings(log, course, documented())
    if recovered_s == EVER:
        found.append(Finding("no recovery", f"no lease within {_RECOVERS_S:g} s"))
    return Row(fault.name, service.dispatch, log, recovered_s, late_s, within_s, found, course)


def _recovered(load: Load, end: float) -> float:
    """How many seconds after the end a lease was answered that was asked for after it, too; EVER if none was."""
    while not (leased := [entry for entry in load.leased_since(end) if entry.begin >= end]):
        if time.monotonic() > end + _RECOVERS_S:
            return EVER
        time.sleep(0.002)
    return leased[0].end - end
