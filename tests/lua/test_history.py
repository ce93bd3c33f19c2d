"""Random histories of leases, takes, renewals and passing time against a model that fits on a page."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from aging import age, now_ms, on_the_second
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis import Redis
from samples import at, make_pool

from cticache.errors import Gone, PoolExhausted
from cticache.pools import Pool, Pools
from cticache.store import Store
from cticache.sync import sync

COOLDOWN = 5_000
SLACK = 500
"""All times of a history are whole seconds; its steps take less real time than this."""
ANIS = st.sampled_from(["", "1", "2", "3"])
SECONDS = st.sampled_from([1, 5, 10, 60])


@dataclass
class Call:
    value: str
    end: int


class Handover(RuleBasedStateMachine):
    """Time is counted in the model's own milliseconds; ``age`` makes it pass in Redis."""

    client: ClassVar[Redis]
    store: ClassVar[Store]

    @initialize(exhausted=st.sampled_from(["share", "reject"]), most=st.integers(1, 3))
    def start(self, exhausted: str, most: int) -> None:
        self.client.flushall()
        self.pool: Pool = make_pool("100-102", exhausted=exhausted, max_callers=most, cooldown_ms=COOLDOWN)
        sync(self.store, Pools([self.pool]), take_over=True)
        self.now = 0
        self.calls: dict[tuple[str, str], Call] = {}
        self.rests: dict[str, int] = dict.fromkeys(self.pool.numbers, 0)
        self.lingers: dict[tuple[str, str], int] = {}
        self.gone: dict[tuple[str, str], int] = {}
        self.count = 0

    def live(self, dnis: str) -> list[Call]:
        return [call for (of, _), call in self.calls.items() if of == dnis]

    def settle(self, dnis: str) -> None:
        self.rests[dnis] = max([self.now, *(call.end for call in self.live(dnis))]) + COOLDOWN

    @rule(ani=ANIS, ttl=SECONDS)
    def lease(self, ani: str, ttl: int) -> None:
        on_the_second(self.client)
        self.count += 1
        free = [dnis for dnis, rest in self.rests.items() if rest <= self.now]
        fit = [
            dnis
            for dnis in self.rests
            if len(self.live(dnis)) < self.pool.max_callers and self.lingers.get((dnis, ani), 0) <= self.now
        ]
        if not free and (self.pool.exhausted == "reject" or not fit):
            with pytest.raises(PoolExhausted) as refused:
                self.store.lease(self.pool, ani, str(self.count), "x", ttl * 1000)
            assert refused.value.retry_after == (min(self.rests.values()) - self.now) / 1000
            return
        leased = self.store.lease(self.pool, ani, str(self.count), "x", ttl * 1000)
        dnis = leased.dnis
        assert (dnis, ani) not in self.calls
        if free:
            assert dnis in free
        else:
            assert self.pool.exhausted == "share"
            assert dnis in fit
            busy = [other for other in fit if self.live(other)]
            if busy:
                assert len(self.live(dnis)) == min(len(self.live(other)) for other in busy)
        assert leased.outcome == ("shared" if self.live(dnis) else "leased")
        self.calls[dnis, ani] = Call(str(self.count), self.now + ttl * 1000)
        self.lingers[dnis, ani] = self.now + ttl * 1000 + COOLDOWN
        self.settle(dnis)

    @rule(dnis=st.sampled_from(["100", "101", "102"]), ani=ANIS)
    def take(self, dnis: str, ani: str) -> None:
        on_the_second(self.client)
        call = self.calls.pop((dnis, ani), None)
        if not call and self.gone.get((dnis, ani), 0) > self.now:
            with pytest.raises(Gone):
                self.store.take(at(self.pool, dnis), ani, "y")
            return
        held = self.store.take(at(self.pool, dnis), ani, "y")
        assert (held and held.value) == (call and call.value)
        if call:
            self.gone[dnis, ani] = self.now + 60_000
            self.lingers[dnis, ani] = self.now + COOLDOWN
            self.settle(dnis)

    @rule(dnis=st.sampled_from(["100", "101", "102"]), ani=ANIS, ttl=SECONDS)
    def renew(self, dnis: str, ani: str, ttl: int) -> None:
        on_the_second(self.client)
        call = self.calls.get((dnis, ani))
        if not call and self.gone.get((dnis, ani), 0) > self.now:
            with pytest.raises(Gone):
                self.store.renew(at(self.pool, dnis), ani, ttl * 1000)
            return
        held = self.store.renew(at(self.pool, dnis), ani, ttl * 1000)
        assert (held and held.value) == (call and call.value)
        if call:
            call.end = self.now + ttl * 1000
            self.lingers[dnis, ani] = call.end + COOLDOWN
            self.settle(dnis)

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: int) -> None:
        age(self.client, seconds * 1000)
        self.now += seconds * 1000
        self.calls = {key: call for key, call in self.calls.items() if call.end > self.now}

    @invariant()
    def everyone_reads_their_own(self) -> None:
        for (dnis, ani), call in getattr(self, "calls", {}).items():
            held = self.store.read(at(self.pool, dnis), ani, "y")
            assert held
            assert held.value == call.value

    @invariant()
    def every_number_rests_as_long_as_it_must(self) -> None:
        real = now_ms(self.client)
        for dnis, rest in getattr(self, "rests", {}).items():
            score = self.client.zscore("cti:{system-y}:numbers", dnis)
            assert score is not None
            left = max(score - real, 0)
            assert max(rest - self.now, 0) - SLACK <= left <= max(rest - self.now, 0) + SLACK


def test_random_histories_follow_the_model(client: Redis, store: Store, request: pytest.FixtureRequest) -> None:
    Handover.client, Handover.store = client, store
    long = request.config.getoption("--long")
    run_state_machine_as_test(
        Handover,
        settings=settings(
            max_examples=300 if long else 40,
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
