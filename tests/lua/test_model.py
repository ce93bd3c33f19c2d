"""Random histories of three pools at once, every answer and all that is stored compared with tests/kit/model.py.

Times are multiples of UNIT and ``hold`` stops the clock for what is stored, so that a history says to the second what
is right; SLACK is for the milliseconds that a step takes.
"""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from cticache.data import keys
from cticache.data.heartbeat import Heartbeat
from cticache.data.replies import Explanation, Held, Lease, LeasePage, PoolStats
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.errors import Ambiguous, Gone, Stale
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Place, Pools
from kit.aging import age, hold, now_ms, set_clock
from kit.model import Call, Choice, Clock, Found, PoolModel, Refused, Request, Said, configure, outcome
from kit.older import STAND_IN, withhold
from kit.samples import make_pool
from kit.together import together

UNIT = 5_000
SLACK = 2_000
NEVER_LEASED = {"a": "190", "b": "290", "c": "390"}
"""A draining number for each pool, so that all its others may go."""
FALLBACK = "900"
DNISES = [f"{hundred}0{one}" for hundred in "123" for one in "012"]
ANIS = ["", "2", "12", "34", "734", "912", "5512", "5912"]
"""Two tails of two digits and one of three, and numbers too short to have one."""
PRESENTED = [*ANIS, "112", "1912", "15512", "99734", "888"]
RULES = ["", "exact", "suffix", "sole"]
"""The pool's own, and each of the others."""
MAX_LIVE = {"x": 0, "m": 2, "y": 0}
TTLS = st.sampled_from([5_000, 10_000, 60_000, 300_000])
FRESH = "fresh"
MOST_HOURS = 6
"""More than pass in a history: what a call held is booked in the hour in which it was leased."""


class Pick(NamedTuple):
    """Which of what is there: one of the live calls, or any number and ANI."""

    pool: str
    number: int
    """Of the live calls; beyond MOST_PICKED the number and ANI below."""
    dnis: str
    ani: str
    presented: str
    """What the ANI is presented as: 'same', 'prefixed', 'cut' or another ANI."""
    rule: str
    """'' for the pool's own."""


MOST_PICKED = 60
PICKS = st.builds(
    Pick,
    st.sampled_from("abc"),
    st.integers(0, MOST_PICKED + 15),
    st.sampled_from([*DNISES, FALLBACK]),
    st.sampled_from(ANIS),
    st.sampled_from(["same"] * 6 + ["prefixed"] * 3 + ["cut", "", "888", "912"]),
    st.sampled_from([""] * 5 + RULES),
)


class Named(NamedTuple):
    """One of the leases, live or over, and the number on which it is looked for."""

    number: int
    """Of the live ones; beyond MOST_PICKED of all there ever were."""
    dnis: str
    """'' for its own."""
    token: str
    """'' for its own."""


NAMED = st.builds(
    Named,
    st.integers(0, 2 * MOST_PICKED),
    st.sampled_from([""] * 12 + DNISES[:2] + [FALLBACK]),
    st.sampled_from([""] * 12 + ["AAAAAAAAAAAAAAAA"]),
)
KEYS = st.sampled_from(["", "", FRESH, FRESH, "k1", "k2"])
TAGS = st.sampled_from(["", "", "", "right", "wrong", "both"])
STEPS: dict[str, tuple[int, dict[str, st.SearchStrategy[Any]]]] = {
    "lease": (
        7,
        {
            "name": st.sampled_from("aabbbc"),
            "user": st.sampled_from("xxmy"),
            "ani": st.sampled_from(ANIS),
            "plus": st.sampled_from(["", "", "", "+"]),
            "ttl": TTLS,
            "key": KEYS,
        },
    ),
    "lease_as_before": (
        2,
        {"name": st.sampled_from("aab"), "user": st.sampled_from("xxm"), "ttl": TTLS},
    ),
    "post_again": (
        2,
        {
            "number": st.integers(0, 50),
            "change": st.sampled_from(["", "", "", "", "sent", "value", "ttl", "user", "pool", "key"]),
        },
    ),
    "read": (2, {"pick": PICKS, "reader": st.sampled_from(["y", "y", "lessee"])}),
    "take": (4, {"pick": PICKS, "user": st.sampled_from("yyx"), "key": KEYS, "tags": TAGS}),
    "read_by_token": (1, {"named": NAMED, "ani": st.sampled_from(PRESENTED), "reader": st.sampled_from("yyx")}),
    "take_by_token": (
        2,
        {
            "named": NAMED,
            "ani": st.sampled_from(PRESENTED),
            "user": st.sampled_from("yyx"),
            "key": KEYS,
            "tags": st.sampled_from(["", "", "", "", "another"]),
        },
    ),
    "release": (1, {"pick": PICKS, "token": st.sampled_from(["", "", "right", "wrong", "alone"])}),
    "release_all": (1, {"name": st.sampled_from("aab"), "user": st.sampled_from("xm"), "meanwhile": st.booleans()}),
    "take_again": (
        2,
        {"number": st.integers(0, 50), "change": st.sampled_from(["", "", "", "", "", "ani", "token", "user", "key"])},
    ),
    "renew": (
        3,
        {
            "pick": PICKS,
            "ttl": TTLS,
            "replace": st.booleans(),
            "tags": TAGS,
            "only": st.sampled_from(["", "", "", "x", "m"]),
        },
    ),
    "time_passes": (2, {"ms": st.sampled_from([5_000, 5_000, 5_000, 10_000, 60_000, 300_000])}),
    "number_moves": (
        2,
        {
            "dnis": st.sampled_from(DNISES),
            "home": st.sampled_from([*"abc", "", "drain", *["back"] * 3, "same"]),
        },
    ),
    "clock_jumps": (1, {"ms": st.sampled_from([10_000, 60_000, 3_600_000, -10_000, -10_000, -60_000, -3_600_000])}),
    "redis_comes_back": (1, {"how": st.sampled_from(["empty", "older", "older"]), "kept": st.booleans()}),
}
"""How often each is done, and with what."""


class Snapshot(NamedTuple):
    """What Redis held, and what the model said of it."""

    held: dict[str, tuple[bytes, int]]
    """Key -> its value, and the ms that were left to it, 0 without an end."""
    at: int
    models: dict[str, PoolModel]

    @classmethod
    def of(cls, client: Redis, at: int, models: dict[str, PoolModel]) -> "Snapshot":
        stored = client.keys()
        pipeline = client.pipeline(transaction=False)
        for key in stored:
            pipeline.dump(key)
            pipeline.pttl(key)
        told = iter(pipeline.execute())
        held = {key: (value, max(left, 0)) for key, value, left in zip(stored, told, told, strict=True)}
        return cls(held, at, deepcopy(models))

    def restored(self, client: Redis, at: int) -> dict[str, PoolModel]:
        client.flushall()
        pipeline = client.pipeline(transaction=False)
        for key, (value, left) in self.held.items():
            pipeline.restore(key, left, value)
        pipeline.execute()
        age(client, self.at - at)  # the clock has been stopped for what is stored
        return self.models


class HandOver(RuleBasedStateMachine):
    """Leases, reads, takes, renewals, time, and numbers that come and go."""

    client: ClassVar[Redis]
    store: ClassVar[Store]
    steps: ClassVar[Counter[str]]
    met: ClassVar[Counter[str]]
    """How often each counter was counted, and each refusal met."""

    @initialize(
        sizes=st.tuples(*[st.integers(1, 3)] * 3),
        callers=st.tuples(*[st.integers(1, 3)] * 2),
        cooldowns=st.tuples(*[st.sampled_from([0, 5_000])] * 3),
        windows=st.tuples(*[st.sampled_from([0, 5_000, 10_000])] * 3),
        digits=st.integers(2, 3),
        suffix_exhausted=st.sampled_from(["share", "fallback"]),
    )
    def start(
        self,
        *,
        sizes: tuple[int, ...],
        callers: tuple[int, ...],
        cooldowns: tuple[int, ...],
        windows: tuple[int, ...],
        digits: int,
        suffix_exhausted: str,
    ) -> None:
        self.client.flushall()
        self.rules: dict[str, dict[str, Any]] = {
            "a": {"exhausted": "share", "max_callers": callers[0]},
            "b": {"exhausted": suffix_exhausted, "max_callers": callers[1], "match": "suffix"},
            "c": {"exhausted": "reject", "match": "sole"},
        }
        if suffix_exhausted == "fallback":
            self.rules["b"]["fallback"] = FALLBACK
        for rules, cooldown, window in zip(self.rules.values(), cooldowns, windows, strict=True):
            rules |= {"cooldown_ms": cooldown, "retry_window_ms": window, "match_digits": digits}
        self.homes = {
            dnis: (name, False)
            for name, hundred, size in zip("abc", "123", sizes, strict=True)
            for dnis in DNISES
            if dnis[0] == hundred and int(dnis[2]) < size
        }
        """DNIS -> its pool, and whether it is draining there."""
        self.clock = Clock()
        self.snapshot: Snapshot | None = None
        self.was_set_back = False
        self.store.clocks.ahead = {}
        self.models = {name: PoolModel(self.clock, self._pool(name)) for name in "abc"}
        self.count = 0
        self.requests: list[tuple[str, Request]] = []
        self.takes: list[tuple[str, str, str, str, str, str, str]] = []
        self.transits: dict[str, Counter[int]] = {name: Counter() for name in "abc"}
        self.held_at = now_ms(self.client)
        self._configure()

    @rule(
        step=st.sampled_from([name for name, (weight, _) in STEPS.items() for _ in range(weight)]).flatmap(
            lambda name: st.tuples(st.just(name), st.fixed_dictionaries(STEPS[name][1]))
        )
    )
    def step(self, step: tuple[str, dict[str, Any]]) -> None:
        """One rule for all: so each history has them as often as STEPS says."""
        name, arguments = step
        getattr(self, name)(**arguments)

    def _pool(self, name: str) -> Pool:
        own = [dnis for dnis, (pool, _) in self.homes.items() if pool == name]
        draining = [dnis for dnis in own if self.homes[dnis][1]]
        return make_pool(
            ",".join([*own, NEVER_LEASED[name]]),
            name=name,
            draining=",".join([*draining, NEVER_LEASED[name]]),
            **self.rules[name],
        )

    def _configure(self) -> None:
        pools = [self._pool(name) for name in "abc"]
        self.pools = Pools(pools)
        self.heartbeat = Heartbeat(self.store, self.pools, {}.__setitem__)
        self.heartbeat.look()
        sync(self.store, self.pools, take_over=True)
        configure(self.models, pools)
        self.snapshot = None

    def _step(self, name: str) -> None:
        """A step begins: what is stored is as old as the model says."""
        self.steps[name] += 1
        self.held_at = hold(self.client, self.held_at, UNIT)

    def _place(self, name: str, dnis: str, rule_: str = "") -> Place | None:
        """Where the pool's call on the number is to be looked for; None when it has no business with the number."""
        for place in self.pools.of(dnis):
            if place.pool.name == name:
                return place._replace(rule=rule_) if rule_ else place  # type: ignore[arg-type]
        assert not self.models[name].live(dnis), f"pool {name} lost the calls on {dnis}"
        return None

    def _picked(self, pick: Pick) -> tuple[Place | None, str]:
        """The place and the presented ANI that are meant."""
        live = [(name, call) for name, model in self.models.items() for call in model.live()]
        name, dnis, ani = pick.pool, pick.dnis, pick.ani
        if live and pick.number < MOST_PICKED:
            name, call = live[pick.number % len(live)]
            dnis, ani = call.dnis, call.ani
        presented = {"same": ani, "prefixed": "1" + ani, "cut": ani[1:]}.get(pick.presented, pick.presented)
        return self._place(name, dnis, pick.rule), presented

    def _tags(self, tags: str, place: Place, ani: str) -> list[str]:
        found = self.models[place.pool.name].find(place.dnis, ani, place.rule)
        right = [found.call.token] if isinstance(found, Found) else ["none"]
        return {"": [], "right": right, "wrong": ["another"], "both": ["another", *right]}[tags]

    # ---- leases

    def lease(self, *, name: str, user: str, ani: str, plus: str, ttl: int, key: str) -> None:
        self.count += 1
        key = f"k{self.count}" if key == FRESH else key
        request = Request(user, plus + ani, ani, f'"{self.count}"', ttl, key)
        self.requests.append((name, request))
        self._lease("lease", name, request)

    def lease_as_before(self, name: str, user: str, ttl: int) -> None:
        """A withheld caller is put beside others, on a resting or on the fallback number: older releases did that."""
        self._step("lease as before")
        self.count += 1
        model, request = self.models[name], Request(user, "", "", f'"{self.count}"', ttl, "")
        choice = model.lease(request._replace(ani=STAND_IN), MAX_LIVE[user])
        if not isinstance(choice, Choice) or any(
            not call.ani for dnis in choice.dnises for call in model.resting(dnis)
        ):
            return
        pool = replace(model.pool, retry_window_ms=0)
        got = self.store.lease(pool, STAND_IN, request.value, user, ttl, max_live=MAX_LIVE[user])
        assert got.outcome == choice.outcome
        assert got.dnis in choice.dnises
        withhold(self.client, got.dnis, pool=name)
        model.has_leased(request, got.outcome, got.dnis, got.token)

    def post_again(self, number: int, change: str) -> None:
        """The same request once more, or one that differs in this."""
        if not self.requests:
            return
        name, request = self.requests[-1 - number % len(self.requests)]
        changes: dict[str, Any] = {
            "sent": {"sent": "+" + request.sent},
            "value": {"value": request.value + " "},
            "ttl": {"ttl": request.ttl + 5_000},
            "user": {"user": "y"},
            "key": {"key": ""},
        }.get(change, {})
        self._lease("post again", "b" if change == "pool" else name, request._replace(**changes))

    def _lease(self, step: str, name: str, request: Request) -> None:
        self._step(step)
        model = self.models[name]
        right = model.lease(request, MAX_LIVE[request.user])
        got = outcome(
            lambda: self.store.lease(
                model.pool,
                request.ani,
                request.value,
                request.user,
                request.ttl,
                sent=request.sent,
                key=request.key,
                max_live=MAX_LIVE[request.user],
            )
        )
        if isinstance(right, Refused):
            self._check_refused(got, right)
            # A pool without any numbers lacks none: they are not in place, or all drain.
            counters = {"max_live": "over_max_live", "pool_exhausted": "rejected" if model.free else None}
            counter = counters.get(right.why.code)
            model.counted.update([counter] if counter else [])
            model.counted["withheld"] += counter == "rejected" and not request.ani
            return
        assert isinstance(got, Lease), f"{got!r} where {right} was right"
        if isinstance(right, Said):
            assert got[:3] == ("replayed", right.call.dnis, right.call.token)
            self._check_time(got.leased_ms - self.held_at, right.call.leased - self.clock.now)
            self._check_time(got.left_ms, right.call.end - self.clock.now if right.call in model.live() else 0)
            model.counted["replayed"] += 1
            return
        assert isinstance(right, Choice)
        assert got.outcome == right.outcome
        assert got.dnis in right.dnises
        assert got.left_ms == request.ttl
        assert got.token not in {call.token for call in model.calls}
        model.has_leased(request, got.outcome, got.dnis, got.token)
        model.counted["withheld"] += not request.ani

    # ---- what the other side does

    def read(self, pick: Pick, reader: str) -> None:
        place, ani = self._picked(pick)
        if not place:
            return
        self._step("read")
        model = self.models[place.pool.name]
        right = model.find(place.dnis, ani, place.rule)
        if isinstance(right, Found) and reader == "lessee":
            reader = right.call.user
        got = outcome(lambda: self.store.read(place, ani, reader))
        if self._check_held(place, ani, got, right):
            assert isinstance(right, Found)
            self._check_time(got.left_ms, right.call.end - self.clock.now)
            model.has_read(right.call, right.grade, reader)

    def take(self, pick: Pick, user: str, key: str, tags: str) -> None:
        place, ani = self._picked(pick)
        if place:
            self.count += 1
            key = f"k{self.count}" if key == FRESH else key
            self.takes.append((place.pool.name, place.dnis, place.rule, ani, user, key, ""))
            self._take("take", place, ani, user=user, key=key, tags=self._tags(tags, place, ani))

    def release(self, pick: Pick, token: str) -> None:
        """The call with this very ANI, or the one that has the token."""
        place, ani = self._picked(pick)
        if not place:
            return
        self._step("release")
        model = self.models[place.pool.name]
        call = next((call for call in model.live(place.dnis) if call.ani == ani), None)
        named = call.token if call and token else "another" if token else ""
        named = "another" if token == "wrong" else named
        (told,) = self.store.release(model.pool, [(place.dnis, "*" if token == "alone" else ani, named)])
        if call and token != "wrong":
            assert told == call.token
            model.has_released(call)
        else:
            right = None if token == "alone" or call else model.find(place.dnis, ani, "exact")
            gone = model.gone.get((place.dnis, ani), 0) if isinstance(right, Refused) else 0
            assert isinstance(told, int) == isinstance(right, Refused)
            if isinstance(told, int):
                assert (told < 0) == (model.taken[place.dnis, ani] in model.released)
                self._check_time(abs(told) - self.held_at, gone - self.clock.now)
            else:
                assert told == ""

    def release_all(self, name: str, user: str, meanwhile: bool) -> None:
        """All leases of a user that a page lists; one of them may have been taken since."""
        self._step("release all")
        model = self.models[name]
        listed = [*reversed(self.store.pool_leases(model.pool, user=user).leases)]
        if listed and meanwhile:
            first = listed[0]
            call = next(call for call in model.live(first.dnis) if call.token == first.token)
            place = self._place(name, first.dnis, "exact")
            if place and model.careful() != "older":
                assert self.store.take(place, call.ani, "y")
                self._check_transit(model.pool, call)
                model.has_taken(Found(call, "exact"), call.ani, "y", "")
        told = self.store.release(model.pool, [(each.dnis, each.ani, each.token) for each in listed])
        for each, token in zip(listed, told, strict=True):
            live = [call for call in model.live(each.dnis, user) if call.token == each.token]
            assert (token == each.token) == bool(live)
            for call in live:
                model.has_released(call)
        assert not model.live(user=user)

    def take_again(self, number: int, change: str) -> None:
        """The same take once more, or one that differs in this."""
        if not self.takes:
            return
        name, dnis, rule_, ani, user, key, token = self.takes[-1 - number % len(self.takes)]
        place = self._place(name, dnis, rule_)
        if place:
            ani = ani + "2" if change == "ani" else ani
            token = {"ani": "", "token": "AAAAAAAAAAAAAAAA"}.get(change, token)
            user, key = "m" if change == "user" else user, "" if change == "key" else key
            self._take("take again", place, ani, user=user, key=key, tags=[], token=token)

    def _take(
        self, step: str, place: Place, ani: str, *, user: str, key: str, tags: list[str], token: str = ""
    ) -> None:
        self._step(step)
        model = self.models[place.pool.name]
        right = model.take(place.dnis, ani, place.rule, user=user, key=key, tags=tags, token=token)
        if_match = " ".join(f'"{tag}"' for tag in tags)
        got = outcome(lambda: self.store.take(place, ani, user, token=token, key=key, if_match=if_match))
        if isinstance(right, Said):
            assert isinstance(got, Held), f"{got!r} where {right} was right"
            assert (got.value, got.token, got.grade) == (right.value, right.call.token, right.grade)
            assert (got.left_ms, got.replayed) == (0, True)
            self._check_time(got.leased_ms - self.held_at, right.call.leased - self.clock.now)
            model.counted["replayed"] += 1
        elif self._check_held(place, ani, got, right, token):
            assert isinstance(right, Found)
            assert not got.replayed
            self._check_time(got.left_ms, right.call.end - self.clock.now)
            self._check_transit(place.pool, right.call)
            model.has_taken(right, ani, user, key, token)

    def read_by_token(self, named: Named, ani: str, reader: str) -> None:
        place, token = self._named(named)
        if not place:
            return
        self._step("read by token")
        model = self.models[place.pool.name]
        right = model.by_token(place.dnis, token)
        got = outcome(lambda: self.store.read(place, ani, reader, token=token))
        if self._check_held(place, ani, got, right, token):
            assert isinstance(right, Found)
            self._check_time(got.left_ms, right.call.end - self.clock.now)
            model.has_read(right.call, right.grade, reader)

    def take_by_token(self, named: Named, ani: str, user: str, key: str, tags: str) -> None:
        place, token = self._named(named)
        if place:
            self.count += 1
            key = f"k{self.count}" if key == FRESH else key
            self.takes.append((place.pool.name, place.dnis, place.rule, ani, user, key, token))
            names = [tags] if tags else []
            self._take("take by token", place, ani, user=user, key=key, tags=names, token=token)

    def _named(self, named: Named) -> tuple[Place | None, str]:
        """The place and the token that are meant."""
        live = [(name, call) for name, model in self.models.items() for call in model.live()]
        ever = [(name, call) for name, model in self.models.items() for call in model.calls if call.token]
        among = live if live and named.number < MOST_PICKED else ever
        if not among:
            return None, ""
        name, call = among[-1 - named.number % len(among)]
        return self._place(name, named.dnis or call.dnis), named.token or call.token

    def renew(self, pick: Pick, ttl: int, replace: bool, tags: str, only: str) -> None:
        place, ani = self._picked(pick)
        if not place:
            return
        self._step("renew")
        self.count += 1
        model, value = self.models[place.pool.name], f'"{self.count}"' if replace else None
        names = self._tags(tags, place, ani)
        right = model.checked(model.find(place.dnis, ani, place.rule), names, only)
        if_match = " ".join(f'"{tag}"' for tag in names)
        got = outcome(lambda: self.store.renew(place, ani, ttl, value, if_match=if_match, only=only))
        if isinstance(right, Found):
            model.has_renewed(right.call, ttl, value)
        if self._check_held(place, ani, got, right):
            assert isinstance(right, Found)
            self._check_time(got.left_ms, right.call.end - self.clock.now)

    def _check_held(self, place: Place, ani: str, got: Any, right: Found | Refused | None, token: str = "") -> bool:
        """The answer is right; whether it is a call."""
        model = self.models[place.pool.name]
        if right is None:
            assert got is None, f"{got} where nothing was right"
            model.has_missed(place.dnis, ani, token)
            return False
        if isinstance(right, Refused):
            self._check_refused(got, right)
            if right.why in (Ambiguous, Gone, Stale):
                model.counted[right.why.code] += 1
            return False
        assert isinstance(got, Held), f"{got!r} where {right} was right"
        assert (got.value, got.token, got.grade) == (right.call.value, right.call.token, right.grade)
        self._check_time(got.leased_ms - self.held_at, right.call.leased - self.clock.now)
        return True

    def _check_refused(self, got: Any, right: Refused) -> None:
        assert type(got) is right.why, f"{got!r} where {right} was right"
        self.met[right.why.code] += 1
        if right.seconds is not None:
            assert right.seconds - 1 <= got.retry_after <= right.seconds
        elif right.why is not Gone:
            assert got.retry_after == (2 if got.status == 503 else None)

    def _check_time(self, got: float, right: int) -> None:
        assert abs(got - right) <= SLACK

    def _check_transit(self, pool: Pool, call: Call) -> None:
        """One more take is counted under the seconds since its lease, rounded up to a step that grows with them."""
        told = Counter(self.store.pool_stats([pool])[0].transits)
        seconds = (self.clock.now - call.leased) // 1000
        (bucket,) = (told - self.transits[pool.name]).elements()
        step = 1 if seconds < 60 else 5 if seconds < 300 else 60 if seconds < 3600 else 600
        assert max(seconds, 1) <= bucket <= seconds + step
        self.transits[pool.name] = told

    # ---- time and the configuration

    def time_passes(self, ms: int) -> None:
        self._step("time passes")
        age(self.client, ms)
        before = self.clock.now
        self.clock.now += ms
        for model in self.models.values():
            model.pass_over(before)

    def number_moves(self, dnis: str, home: str) -> None:
        """All is started again; the number is another pool's or none's, drains, goes back where it was, or stays."""
        was, drained = self.homes.get(dnis, ("", False))
        draining = home == "drain" or (home == "same" and drained)
        home = {"drain": was, "same": was, "back": "abc"["123".index(dnis[0])]}.get(home, home)
        self._step("number moves")
        self.client.script_flush()
        if home:
            self.homes[dnis] = home, draining
        else:
            self.homes.pop(dnis, None)
        self._configure()

    # ---- losses, and the clock of Redis

    def clock_jumps(self, ms: int) -> None:
        """The clock of Redis is set ahead, or back, and the service looks."""
        self._step(f"clock set {'ahead' if ms > 0 else 'back'}")
        self.snapshot = None
        set_clock(self.client, self.store, ms)
        self.heartbeat.look()
        models = self.models.values()
        if ms > 0:
            before = self.clock.now
            self.clock.now += ms
            for model in models:
                model.pass_over(before)
                model.has_lost("ahead")
        else:
            self.was_set_back = True
            for model in models:
                model.set_back(-ms)
            for model in models:
                model.score_anew(-ms, models)
        for model in models:
            model.counted["clock_jumps"] += 1

    def redis_comes_back(self, how: str, kept: bool) -> None:
        """Redis comes back empty, or as it was at an earlier time, if one was kept; or now is kept."""
        self._step("redis comes back " + how)
        if how == "older" and (kept or not self.snapshot):
            self.snapshot = Snapshot.of(self.client, self.held_at, self.models)
            return
        if how == "older" and self.snapshot:
            passed = self.clock.now - self.snapshot.models["a"].clock.now
            self.heartbeat.look()
            self.heartbeat.look()
            self.models = self.snapshot.restored(self.client, self.held_at)
            self.clock = self.models["a"].clock
            self.transits = {
                name: Counter(self.store.pool_stats([model.pool])[0].transits) for name, model in self.models.items()
            }
            age(self.client, passed)
            self.held_at = hold(self.client, now_ms(self.client), UNIT)
            self.clock.now += passed
            for model in self.models.values():
                model.pass_over(self.clock.now - passed)
        else:
            self.client.flushall()
            self.models = {name: model.emptied() for name, model in self.models.items()}
            self.transits = {name: Counter() for name in "abc"}
        self.snapshot = None
        self.heartbeat.look()
        sync(self.store, self.pools, take_over=True)
        for model in self.models.values():
            model.has_lost(how)

    # ---- what must hold after every step

    @invariant()
    def the_store_is_what_the_model_says(self) -> None:
        asked = self._asked()
        read = [
            (call, self._place(model.pool.name, call.dnis)) for model in self.models.values() for call in model.live()
        ]
        figures, *rest = together(
            self.store,
            lambda: self.store.pool_stats(list(self.pools)),
            *(partial(self.store.pool_leases, model.pool) for model in self.models.values()),
            *(partial(self.store.pool_hours, model.pool, MOST_HOURS) for model in self.models.values()),
            *(partial(self.store.explain, place, ani) for _, place, ani in asked),
            *(partial(self.store.read, place, call.ani, call.user, last=False) for call, place in read if place),
            *(
                partial(self.store.read, place, "888", "y", token=call.token, peek=True)
                for call, place in read
                if place
            ),
        )
        answers = iter(rest)
        for model, of_pool in zip(self.models.values(), figures, strict=True):
            self._check_figures(model, of_pool)
        for model in self.models.values():
            self._check_leases(model, next(answers))
        for model in self.models.values():
            self._check_hours(model, next(answers))
        for model, place, ani in asked:
            self._check_explained(model, place, ani, next(answers))
        for call, place in read:
            assert place
            self._check_read(self.models[place.pool.name], call, next(answers))
        for call, _ in read:
            assert next(answers)[:3] == (call.value, call.token, "uui")
        self._check_stored()

    def _check_figures(self, model: PoolModel, figures: PoolStats) -> None:
        now = self.clock.now
        free = sum(since <= now for since in model.free.values())
        assert (figures.size, figures.free) == (len(model.free), free)
        least, most = model.leased()
        assert least <= figures.leased <= most
        assert figures.leased + figures.cooling == figures.size - free
        assert model.peak[0] <= figures.peak <= model.peak[1]
        callers = Counter(call.dnis for call in model.live())
        lent = {*model.free, model.pool.fallback}
        assert figures.shared == sum(count > 1 for dnis, count in callers.items() if dnis in lent)
        assert figures.leaving == sum(until > now for until in model.leaving.values())
        if free or not model.free:
            assert figures.next_free_ms == (0 if free else -1)
        else:
            self._check_time(figures.next_free_ms, min(model.free.values()) - now)
        told = {name.removesuffix("_total"): count for name, count in figures.counts.items()}
        counted = {name: count for name, count in model.counted.items() if count}
        assert {name: count for name, count in told.items() if count} == counted
        assert sum(figures.transits.values()) == model.counted["taken"]
        users = Counter(call.user for call in model.live())
        assert figures.live.keys() >= users.keys()
        assert all(count >= users[user] for user, count in figures.live.items())
        assert dict(figures.live) == users or self.was_set_back
        leaving = max(model.leaving.values(), default=0)
        assert bool(figures.leaving_until_ms) == (leaving > now)
        if leaving > now:
            self._check_time(figures.leaving_until_ms - self.held_at, leaving - now)
        assert dict(figures.missed) == {dnis: count for dnis, count in model.missed.items() if count}

    def _check_leases(self, model: PoolModel, page: LeasePage) -> None:
        assert page.after is None
        assert [lease.end_ms for lease in page.leases] == sorted(lease.end_ms for lease in page.leases)
        live = {call.token: call for call in model.live()}
        assert sorted(lease.token for lease in page.leases) == sorted(live)
        for lease in page.leases:
            call = live[lease.token]
            assert (lease.dnis, lease.ani, lease.user, lease.asked) == (call.dnis, call.ani, call.user, call.asked_for)
            self._check_time(lease.leased_ms - self.held_at, call.leased - self.clock.now)
            self._check_time(lease.end_ms - self.held_at, call.end - self.clock.now)

    def _check_scores(self, model: PoolModel, scores: dict[str, float]) -> None:
        assert scores.keys() == model.free.keys()
        for dnis, since in model.free.items():
            self._check_time(max(scores[dnis] - self.held_at, -SLACK), max(since - self.clock.now, -SLACK))

    def _check_hours(self, model: PoolModel, told: list[tuple[int, dict[str, int]]]) -> None:
        hours = Counter[str]()
        for _, counters in told:
            hours.update(counters)  # an hour's may be negative: what is stored grows older, and its hours do not
        assert {name: hours[name] for name in model.counted} == model.counted
        assert abs(hours["held_ms"] - model.held_ms) <= SLACK * (len(model.calls) + 1)

    def _asked(self) -> list[tuple[PoolModel, Place, str]]:
        """Whatever is presented where, under one rule or another."""
        asked: list[tuple[PoolModel, Place, str]] = []
        for model in self.models.values():
            for dnis in [*DNISES, FALLBACK]:
                place = self._place(model.pool.name, dnis)
                if not place:
                    continue
                for ani in PRESENTED if model.resting(dnis) else ["888"]:
                    asked.append((model, place._replace(rule=RULES[len(asked) % 4] or place.rule), ani))  # type: ignore[arg-type]
        return asked

    def _check_explained(self, model: PoolModel, place: Place, ani: str, explained: Explanation) -> None:
        right = model.find(place.dnis, ani, place.rule)
        if isinstance(right, Found):
            assert (explained.grade, explained.found) == (right.grade, right.call.ani)
        elif isinstance(right, Refused):
            assert explained.grade == right.why.code
        else:
            assert explained.grade == ""
        near, alike = ("", []) if right else model.near(place.dnis, ani)
        assert explained.kind == near
        assert explained.like in [call.ani for call in alike] or (not alike and explained.like == "")
        if ani == "888":
            self._check_listed(model, place.dnis, explained)

    def _check_read(self, model: PoolModel, call: Call, held: Held | None) -> None:
        """Every call's owner reads its value."""
        if model.careful() == "older" and not call.ani:
            assert not held
            return
        assert held
        assert held[:3] == (call.value, call.token, "exact")

    def _check_listed(self, model: PoolModel, dnis: str, explained: Explanation) -> None:
        listed = {row.ani: row[1:] for row in explained.calls}
        live = {call.ani: call for call in model.live(dnis)}
        assert listed.keys() == live.keys()
        for ani, (token, lessee, leased_ms, left_ms) in listed.items():
            assert (token, lessee) == (live[ani].token, live[ani].user)
            self._check_time(left_ms, live[ani].end - self.clock.now)
            self._check_time(leased_ms - self.held_at, live[ani].leased - self.clock.now)

    def _check_stored(self) -> None:
        """What is stored expires, and there is no number, call, pending or live entry that the model has not."""
        stored = self.client.keys("cti:*")
        mortal = [key for key in stored if not keys.PERMANENT.fullmatch(key)]
        pipeline = self.client.pipeline(transaction=False)
        for name in self.models:
            prefix = f"cti:{{{name}}}:"
            pipeline.zrange(f"{prefix}numbers", 0, -1, withscores=True)
            pipeline.zrange(f"{prefix}pending", 0, -1)
            for user in MAX_LIVE:
                pipeline.zrange(f"{prefix}live:{user}", f"({self.held_at + SLACK}", "+inf", byscore=True)
        for key in mortal:
            pipeline.pttl(key)
        found = iter(pipeline.execute())
        for name, model in self.models.items():
            prefix = f"cti:{{{name}}}:"
            self._check_scores(model, dict(next(found)))
            live = {f"{call.dnis}:{call.ani}": call for call in model.live()}
            assert {key for key in stored if key.startswith(f"{prefix}call:")} == {f"{prefix}call:{m}" for m in live}
            assert set(next(found)) == {member for member, call in live.items() if not call.asked_for}
            for user in MAX_LIVE:
                counted = set(next(found))
                own = {member for member, call in live.items() if call.user == user}
                assert own <= counted
                assert own == counted or self.was_set_back  # what is over is left out where it is looked at
        assert not [key for key, ttl in zip(mortal, found, strict=True) if ttl == -1]

    def teardown(self) -> None:
        for model in getattr(self, "models", {}).values():
            self.met.update(model.counted)


def test_random_histories_follow_the_model(
    client: Redis, store: Store, tell: Callable[[str], None], long: bool
) -> None:
    HandOver.client, HandOver.store, HandOver.steps, HandOver.met = client, store, Counter(), Counter()
    run_state_machine_as_test(
        HandOver,
        settings=settings(
            max_examples=1_250 if long else 12,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    steps = HandOver.steps
    tell(f"model: {steps.total():,} steps ({', '.join(f'{name} {count:,}' for name, count in steps.most_common())})")
    tell(f"model: {', '.join(f'{name} {count:,}' for name, count in HandOver.met.most_common())}")
    assert steps.total() >= (50_000 if long else 300)


def test_a_clock_set_back_keeps_the_ani_that_was_presented_as_much_longer(client: Redis, store: Store) -> None:
    """In the store and in the model, which are compared step by step."""
    HandOver.client, HandOver.store, HandOver.steps, HandOver.met = client, store, Counter(), Counter()
    history = HandOver()
    history.start(
        sizes=(1, 1, 1), callers=(1, 1), cooldowns=(0, 0, 0), windows=(0, 0, 0), digits=2, suffix_exhausted="share"
    )
    stranger = Pick("a", MOST_PICKED, "100", "888", "888", "")
    for jumps in [[-3_600_000, 3_600_000], [300_000]]:
        history.lease(name="a", user="x", ani="12", plus="", ttl=60_000, key="")
        history.take(stranger, "y", "", "")
        for ms in jumps:
            history.clock_jumps(ms)
        history.time_passes(300_000)
        history.the_store_is_what_the_model_says()
    assert history.models["a"].counted["other_constant"] == 1
