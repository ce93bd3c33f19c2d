"""What the service promises of its pools, without Redis: calls as a plain list, and a time that only a test moves.

Times are whole milliseconds of the model's own clock. A method named after an operation says which answers are right;
the method with ``has`` before its participle takes down what the store did.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cticache.errors import (
    Ambiguous,
    ForeignCall,
    Gone,
    KeyReused,
    NotReady,
    PoolExhausted,
    Refusal,
    Stale,
    TooManyLive,
)
from cticache.numbering.pool import Pool

SECOND = 1_000
ALWAYS = -(10**12)
"""When a number that was never leased fell free."""


@dataclass
class Clock:
    """The time of all pools of a model."""

    now: int = 0


@dataclass
class Call:
    """One lease, live or over."""

    dnis: str
    ani: str
    user: str
    value: str
    token: str
    leased: int
    end: int
    """When it ends, or ended: by its time or by a take."""
    listed: bool = True
    """It still counts among the number's callers, if the clock is set back."""
    asked_for: bool = False
    """Somebody other than the lessee has read it, or somebody has taken it."""
    other: bool = False
    """It has been asked for under another ANI."""


class Request(NamedTuple):
    """A POST."""

    user: str
    sent: str
    ani: str
    value: str
    ttl: int
    key: str


class Refused(NamedTuple):
    """The right answer is this refusal; ``seconds`` is its Retry-After."""

    why: type[Refusal]
    seconds: int | None = None


class Choice(NamedTuple):
    """The right answer is a lease of one of these numbers."""

    outcome: str
    dnises: set[str]


class Found(NamedTuple):
    """The right answer is this call."""

    call: Call
    grade: str


class Said(NamedTuple):
    """An answer that is remembered under an idempotency key."""

    request: Any
    call: Call
    value: str
    grade: str
    until: int
    only_live: bool = False


@dataclass
class PoolModel:
    """One pool."""

    clock: Clock
    pool: Pool
    calls: list[Call] = field(default_factory=list)
    """All there ever were."""
    free: dict[str, int] = field(default_factory=dict)
    """DNIS that is leased -> from when on."""
    leaving: dict[str, int] = field(default_factory=dict)
    """DNIS no longer leased -> until when its calls may be asked for."""
    gone: dict[tuple[str, str], int] = field(default_factory=dict)
    """DNIS and presented ANI of a call that was taken -> when."""
    taken: dict[tuple[str, str], str] = field(default_factory=dict)
    """The same -> the token of that call."""
    released: set[str] = field(default_factory=set)
    """The tokens of the calls that were ended without being handed over."""
    replies: dict[tuple[str, str], Said] = field(default_factory=dict)
    takes: dict[tuple[str, str], Said] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    """DNIS -> how many of its calls in a row nobody asked for."""
    presented: tuple[str, int] = ("", ALWAYS)
    """The ANI that was last unlike that of the call it was meant for, and until when it is known."""
    peak: tuple[int, int] = (0, 0)
    """The least and the most that may be told."""
    held_ms: int = 0
    """How long the calls held their numbers, all together."""
    promised: dict[str, int] = field(default_factory=dict)
    """DNIS that left -> from when on another pool was told that it may lease it."""
    lost: tuple[str, int] = ("", ALWAYS)
    """How calls were lost last, and until when care is taken."""

    @property
    def now(self) -> int:
        return self.clock.now

    @property
    def rest(self) -> int:
        """How long a number rests: where a call may be taken for another, as long as a take is remembered."""
        return self.pool.cooldown_ms if self.pool.match == "exact" else self.pair_rest

    @property
    def pair_rest(self) -> int:
        """How long a number rests for the ANI of its call: as long as one may ask for that call."""
        return max(self.pool.cooldown_ms, self.pool.remember_ms)

    def live(self, dnis: str | None = None, user: str | None = None) -> list[Call]:
        """The live calls, of all numbers and users or of these."""
        return [
            call
            for call in self.calls
            if call.end > self.now and dnis in (None, call.dnis) and user in (None, call.user)
        ]

    def resting(self, dnis: str) -> list[Call]:
        """The number's calls that are live, or over for less time than a number rests."""
        return [call for call in self.calls if call.dnis == dnis and call.end + self.rest > self.now]

    def askable(self, dnis: str) -> list[Call]:
        """The number's calls that are live, or over for less time than a pair rests."""
        return [call for call in self.calls if call.dnis == dnis and call.end + self.pair_rest > self.now]

    def free_for(self, dnis: str, ani: str) -> int:
        """When this ANI may next have the number."""
        return max([self.free[dnis], *(call.end + self.pair_rest for call in self.askable(dnis) if call.ani == ani)])

    def leased(self) -> tuple[int, int]:
        """How many numbers are leased; the second figure has those, too, that wait for another pool's calls."""
        used = sum(bool(self.live(dnis)) for dnis in self.free)
        waiting = sum(not self.resting(dnis) and free > self.now + self.rest for dnis, free in self.free.items())
        return used, used + waiting

    # ---- a lease

    def lease(self, request: Request, max_live: int) -> Refused | Choice | Said:
        """What a POST must be answered."""
        said = self.replies.get(self._reply_key(request))
        if said and said.until > self.now:
            if said.request != request:
                return Refused(KeyReused)
            if said.call.end > self.now:
                return said
            if not said.only_live:
                return Refused(Gone)
        if self.careful() and (not request.ani or self.pool.match == "sole"):
            return Refused(NotReady, (self.lost[1] - self.now) // 1000)
        own = sorted(call.end for call in self.live(user=request.user))
        if max_live and len(own) >= max_live:
            return Refused(TooManyLive, (own[0] - self.now) // 1000)
        choice = self._choice(request.ani)
        if choice.dnises:
            return choice
        if not self.free:
            return Refused(PoolExhausted)
        soonest = [self.free_for(dnis, request.ani) for dnis in self.free]
        fallback = self.pool.fallback
        if self.pool.exhausted == "fallback" and request.ani and len(self.live(fallback)) < self.pool.max_callers:
            soonest += [call.end + self.pair_rest for call in self.askable(fallback) if call.ani == request.ani]
        return Refused(PoolExhausted, (min(soonest) - self.now) // 1000)

    def _choice(self, ani: str) -> Choice:
        free = {dnis: since for dnis, since in self.free.items() if self.free_for(dnis, ani) <= self.now}
        if free:
            return Choice("leased", {dnis for dnis, since in free.items() if since == min(free.values())})
        if not ani:
            return Choice("", set())
        fit = [dnis for dnis in self.free if self._has_room(dnis, ani)]
        if self.pool.exhausted == "share":
            if busy := {dnis: len(self.live(dnis)) for dnis in fit if self.live(dnis)}:
                return Choice("shared", {dnis for dnis, calls in busy.items() if calls == min(busy.values())})
            if self.pool.match == "exact":
                return Choice("leased", {dnis for dnis in fit if self.resting(dnis)})
        if self.pool.exhausted == "fallback" and self._has_room(self.pool.fallback, ani):
            return Choice("fallback", {self.pool.fallback})
        return Choice("", set())

    def _has_room(self, dnis: str, ani: str) -> bool:
        """One more caller may be put beside those on the number, and will be told from them and from the last ones."""
        digits = self.pool.match_digits if self.pool.match == "suffix" else 0
        live = self.live(dnis)
        return (
            len(live) < self.pool.max_callers
            and all(call.ani for call in live)
            and not any(call.ani == ani or (digits and same_tail(call.ani, ani, digits)) for call in self.askable(dnis))
        )

    def has_leased(self, request: Request, outcome: str, dnis: str, token: str) -> None:
        """A number was lent."""
        call = Call(dnis, request.ani, request.user, request.value, token, self.now, self.now + request.ttl)
        self.calls.append(call)
        self.held_ms += request.ttl
        self._forget(dnis)
        self.gone.pop((dnis, request.ani), None)
        self._settle(dnis)
        if outcome == "fallback":
            self.leaving[dnis] = max(other.end for other in self.live(dnis)) + self.pair_rest
        if request.key:
            said = Said(request, call, request.value, "", call.end + self.pool.remember_ms)
        else:
            said = Said(request, call, request.value, "", self.now + self.pool.retry_window_ms, only_live=True)
        if request.key or request.ani:
            self.replies[self._reply_key(request)] = said
        self.counted["leased"] += 1
        self.counted[outcome] += outcome != "leased"
        self.peak = (max(self.peak[0], self.leased()[0]), max(self.peak[1], self.leased()[1]))

    def _reply_key(self, request: Request) -> tuple[str, Any]:
        return request.user, request.key or request

    # ---- what the other side asks

    def find(self, dnis: str, ani: str, rule: str) -> Found | Refused | None:
        """Whose call is meant, by the rules of the hand-off; None when nobody's."""
        if self.careful() == "older" and not ani:
            return None
        if self.careful() == "older" or (self.careful() and rule == "suffix"):
            rule = "exact"
        live = self.live(dnis)
        digits = self.pool.match_digits
        exact = [call for call in live if call.ani == ani]
        tails = [call for call in live if call.ani != ani and same_tail(call.ani, ani, digits)]
        if exact:
            return Found(exact[0], "exact") if rule == "exact" or not tails else Refused(Ambiguous)
        if (dnis, ani) in self.gone and self.gone[dnis, ani] + self.pool.remember_ms > self.now:
            return Refused(Gone)
        candidates, grade = (tails, "suffix") if tails and rule != "exact" else (live if rule == "sole" else [], "sole")
        if len(candidates) > 1:
            return Refused(Ambiguous)
        return Found(candidates[0], grade) if candidates else None

    def by_token(self, dnis: str, token: str) -> Found | Refused | None:
        """The call whose lease has this token; None when it is not live, and was not taken of late."""
        for call in self.live(dnis):
            if call.token == token:
                return Found(call, "uui")
        for (on, ani), at in self.gone.items():
            if on == dnis and self.taken[on, ani] == token and at + self.pool.remember_ms > self.now:
                return Refused(Gone)
        return None

    def has_read(self, call: Call, grade: str, reader: str) -> None:
        """The value was read."""
        if reader != call.user:
            self._asked(call, grade)

    def take(
        self, dnis: str, ani: str, rule: str, *, user: str, key: str, tags: Iterable[str], token: str = ""
    ) -> Found | Said | Refused | None:
        """What a take must be answered; ``tags`` are the tokens of If-Match, none for any.

        With a ``token`` it is of that lease, whatever the ANI and the rule are.
        """
        said = self.takes.get((user, key)) if key else None
        if said and said.until > self.now:
            return said if said.request == _asked_of(dnis, ani, token) else Refused(KeyReused)
        return self.checked(self.by_token(dnis, token) if token else self.find(dnis, ani, rule), tags)

    def checked(self, found: Found | Refused | None, tags: Iterable[str], only: str = "") -> Found | Refused | None:
        """The same, or Stale, or ForeignCall if another user than ``only`` leased the call."""
        if isinstance(found, Found) and only and found.call.user != only:
            return Refused(ForeignCall)
        if isinstance(found, Found) and tags and found.call.token not in tags:
            return Refused(Stale)
        return found

    def has_taken(self, found: Found, ani: str, user: str, key: str, token: str = "") -> None:
        """The value was handed over; whoever asks by the token leaves no trace of an ANI."""
        call, grade = found
        ani = call.ani if token else ani
        self._asked(call, grade)
        self.held_ms += self.now - call.end
        call.end = self.now
        self._settle(call.dnis)
        self.gone[call.dnis, call.ani] = self.gone[call.dnis, ani] = self.now
        self.taken[call.dnis, call.ani] = self.taken[call.dnis, ani] = call.token
        if ani != call.ani:  # who asked for it rests with the number, too
            self.calls.append(Call(call.dnis, ani, user, "", "", self.now, self.now, asked_for=True))
        if key:
            until = self.now + self.pool.remember_ms
            self.takes[user, key] = Said(_asked_of(call.dnis, ani, token), call, call.value, grade, until)
        self.counted["taken"] += 1

    def has_released(self, call: Call) -> None:
        """The call was ended without being handed over: nobody has asked for it, and nobody can any more."""
        call.asked_for = True
        self.held_ms += self.now - call.end
        call.end = self.now
        self._settle(call.dnis)
        self.gone[call.dnis, call.ani] = self.now
        self.taken[call.dnis, call.ani] = call.token
        self.released.add(call.token)
        self.counted["released"] += 1

    def has_renewed(self, call: Call, ttl: int, value: str | None) -> None:
        """The time was started again; where another pool was promised the number, for no longer than that."""
        end = self.now + ttl
        if self.promised.get(call.dnis, ALWAYS) > self.now:
            end = max(call.end, min(end, self.promised[call.dnis] - self.pair_rest))
        self.held_ms += end - call.end
        call.end = end
        for key, said in self.replies.items():
            if said.call is call and not said.only_live:
                self.replies[key] = said._replace(until=max(said.until, end + self.pool.remember_ms))
        if value is not None:
            call.value = value
        self._settle(call.dnis)
        if self.leaving.get(call.dnis, ALWAYS) > self.now:
            self.leaving[call.dnis] = max(other.end for other in self.live(call.dnis)) + self.pair_rest
        self.counted["renewed"] += 1

    def near(self, dnis: str, ani: str, *, unasked: bool = False) -> tuple[str, list[Call]]:
        """How an ANI differs from that of the live call it is most like; all that are as like, the latest first."""
        kinds: dict[str, list[Call]] = {}
        for call in sorted(self.live(dnis), key=lambda call: (call.end, call.ani), reverse=True):
            if call.ani != ani and not (unasked and call.asked_for):
                kinds.setdefault(difference(ani, call.ani, self.pool.match_digits), []).append(call)
        return next(((kind, kinds[kind]) for kind in DIFFERENCES if kind in kinds), ("", []))

    def has_missed(self, dnis: str, ani: str, token: str = "") -> None:
        """A question found nothing; one for a token tells nothing of an ANI."""
        self.counted["missed"] += 1
        if token:
            return
        kind, calls = self.near(dnis, ani, unasked=True)
        if not calls or calls[0].other:
            return
        calls[0].other = True
        if kind == "unlike":
            kind = "constant" if self.presented[0] == ani and self.presented[1] > self.now else kind
            self.presented = ani, self.now + 3_600_000
        self.counted.update(["other_live", f"other_{kind}"])

    def _asked(self, call: Call, grade: str) -> None:
        if not call.asked_for:
            call.asked_for = True
            self.counted[f"match_{grade}"] += 1
            del self.missed[call.dnis]

    def _settle(self, dnis: str) -> None:
        """The number may be leased when the last of its calls has ended and it has rested."""
        if dnis in self.free:
            self.free[dnis] = max([self.now, *(call.end for call in self.live(dnis))]) + self.rest

    # ---- time, and the configuration

    def pass_over(self, before: int) -> None:
        """Time has passed since ``before``: calls that nobody asked for are missed."""
        for call in self.calls:
            if before < call.end <= self.now and not call.asked_for:
                self.counted["unclaimed"] += 1
                self.missed[call.dnis] += 1

    def drop(self, pool: Pool) -> None:
        """The configuration is this by now; what it no longer leases goes."""
        self.pool = pool
        for dnis in set(self.free) - set(pool.numbers):
            del self.free[dnis]
            if used := self.askable(dnis):
                self.leaving[dnis] = max(self.now, *(call.end for call in used)) + self.pair_rest

    def add(self, others: Iterable["PoolModel"]) -> None:
        """What the configuration leases more comes, when its last call has ended in whatever pool that was."""
        for dnis in set(self.pool.numbers) - set(self.free):
            used = [max(call.end, self.now) + self.rest for call in self.askable(dnis)]
            for other in others:
                if other is not self and other.leaving.get(dnis, ALWAYS) > self.now:
                    other.promised[dnis] = other.leaving[dnis]
            self.free[dnis] = max([ALWAYS, *used, *self._awaited(dnis, others)])
            self.leaving.pop(dnis, None)
            self.promised.pop(dnis, None)

    def _awaited(self, dnis: str, others: Iterable["PoolModel"]) -> list[int]:
        """When the number's calls in other pools are over, and have rested."""
        return [
            other.leaving[dnis] + max(self.pair_rest - other.pair_rest, 0)
            for other in others
            if other is not self and other.leaving.get(dnis, ALWAYS) > self.now
        ]

    # ---- losses, and the clock of Redis

    def careful(self) -> str:
        """How calls were lost, while care is taken; else empty."""
        return self.lost[0] if self.lost[1] > self.now else ""

    def has_lost(self, kind: str) -> None:
        """A loss was told."""
        kind = "older" if self.careful() == "older" and kind == "ahead" else kind
        self.lost = kind, self.now + self.pool.after_loss_ms
        self.counted["losses"] += 1

    def emptied(self) -> "PoolModel":
        """The pool after all was lost."""
        return PoolModel(self.clock, self.pool, free=dict.fromkeys(self.pool.numbers, ALWAYS))

    def set_back(self, ms: int) -> None:
        """The clock was set back: what was is nearer by so much, and what is to come is told by the live calls."""
        for dnis in {call.dnis for call in self.calls} - {call.dnis for call in self.calls if self.askable(call.dnis)}:
            self._forget(dnis)
        for call in self.calls:
            self._set_back(call, ms)
        known = ((pair, at) for pair, at in self.gone.items() if at + self.pool.remember_ms > self.now)
        self.gone = {pair: min(at + ms, self.now) for pair, at in known}
        for kept in (self.replies, self.takes):
            for key, said in kept.items():
                kept[key] = said._replace(until=said.until + ms * (said.until > self.now))
        if self.presented[1] > self.now:
            self.presented = self.presented[0], self.presented[1] + ms
        if self.careful():
            self.lost = self.lost[0], min(self.lost[1] + ms, self.now + self.pool.after_loss_ms)
        for kept_until in (self.leaving, self.promised):
            for dnis, until in list(kept_until.items()):
                if until + ms > self.now:
                    ends = [call.end for call in self.askable(dnis)]
                    kept_until[dnis] = max(ends, default=ALWAYS) + self.pair_rest
                else:
                    kept_until[dnis] = until + ms

    def _set_back(self, call: Call, ms: int) -> None:
        if call.end > self.now and call.leased + ms > self.now + SECOND:
            call.leased, call.end = self.now, self.now + call.end - call.leased
            return
        call.leased += ms
        if call.end > self.now:
            call.end += ms
        elif call.listed:
            call.end = min(call.end + ms, self.now)

    def _forget(self, dnis: str) -> None:
        """Who has rested with the number is no longer listed among its callers."""
        for call in self.calls:
            call.listed &= call.dnis != dnis or call.end + self.pair_rest > self.now

    def score_anew(self, ms: int, others: Iterable["PoolModel"]) -> None:
        """After every pool's clock was set back: when the numbers are free."""
        for dnis, since in self.free.items():
            ends = [call.end + self.rest for call in self.askable(dnis)] or [self.now]
            if since + ms > self.now:
                self.free[dnis] = max([*ends, *self._awaited(dnis, others)])
            elif since != ALWAYS:
                self.free[dnis] = since + ms


def configure(models: Mapping[str, PoolModel], pools: Iterable[Pool]) -> None:
    """Every pool drops before any adds."""
    for pool in pools:
        models[pool.name].drop(pool)
    for model in models.values():
        model.add(models.values())


def _asked_of(dnis: str, ani: str, token: str) -> tuple[str, ...]:
    """What a take asked for, to tell it from others under the same key."""
    return (dnis, "the token", token) if token else (dnis, ani)


def same_tail(one: str, other: str, digits: int) -> bool:
    """Both have that many digits, and the last of them agree."""
    return min(len(one), len(other)) >= digits and one[-digits:] == other[-digits:]


DIFFERENCES = ("more", "less", "tail", "withheld", "unlike")
"""The first is the least."""


def difference(presented: str, kept: str, digits: int) -> str:
    """How the two ANI differ, in a word."""
    one, other = presented.removeprefix("+"), kept.removeprefix("+")
    if not one or not other:
        return "withheld"
    if not same_tail(one, other, min(digits, 7)):
        return "unlike"
    if len(one) == len(other) or one[-len(other) :] != other[-len(one) :]:
        return "tail"
    return "more" if len(one) > len(other) else "less"


def outcome(ask: Callable[[], Any]) -> Any:
    """What it returns, or the refusal that it raises."""
    try:
        return ask()
    except Refusal as refusal:
        return refusal
