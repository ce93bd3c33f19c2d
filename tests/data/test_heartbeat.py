"""A Redis that lost calls, and a clock that jumped, are told; until the callers are off the line nothing is guessed."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis

from cticache.data.condition import Kind
from cticache.data.heartbeat import Heartbeat
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.errors import NotReady, PoolExhausted, TooManyLive
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from kit.aging import age, expect_before, now_ms, set_clock
from kit.between import KilledError
from kit.samples import make_pool

A, B, C = "5551234567", "5557654321", "5550001111"
TTL_MS = 300_000
CAREFUL_MS = TTL_MS + 60_000
LOST = "cti:{system-y}:lost"
HOUR_MS = 3_600_000
CARE = "; until .. only callers with an ANI of their own are served ([pool] after_loss)"


class Service:
    """A store whose clocks its own heartbeat keeps, and what an operator sees of it."""

    def __init__(self, store: Store, *pools: Pool) -> None:
        self.store = Store(store._scripts, store._keys, 2)
        self.store.clocks.most_off_ms = 2_000
        self.pools = Pools(pools)
        self.notes: dict[Kind, str] = {}
        self.heartbeat = Heartbeat(self.store, self.pools, self.notes.__setitem__)
        self.look()

    def look(self) -> None:
        self.heartbeat.look()
        sync(self.store, self.pools, take_over=True)

    def lease(self, ani: str, name: str = "system-y", **more: Any) -> str:
        pool = self.pools.get(name)
        assert pool
        return self.store.lease(pool, ani, f'"of {ani}"', "x", more.pop("ttl_ms", TTL_MS), **more).dnis

    def read(self, dnis: str, ani: str) -> str | None:
        held = self.store.read(self.pools.of(dnis)[-1], ani, "y")
        return held and held.value

    def refuses(self, ani: str, name: str = "system-y") -> int:
        with pytest.raises(NotReady) as refused:
            self.lease(ani, name)
        return refused.value.retry_after or 0

    def losses(self, name: str = "system-y") -> int:
        return self.store.pool_stats([pool for pool in self.pools if pool.name == name])[0].losses_total


@pytest.fixture
def start(store: Store) -> Callable[..., Service]:
    def start(*pools: Pool, **rules: Any) -> Service:
        return Service(store, *(pools or [make_pool("100-103", **rules)]))

    return start


Start = Callable[..., Service]


@contextmanager
def restored(client: Redis) -> Iterator[None]:
    """What Redis held before is all that it holds afterwards."""
    kept = {key: (client.dump(key), max(client.pttl(key), 0)) for key in client.scan_iter()}
    yield
    client.flushall()
    for key, (what, left) in kept.items():
        client.restore(key, left, what)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, without the time that is in it."""
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    caplog.clear()
    return [re.sub(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", "..", each) for each in said]


# Redis came back empty


def test_a_first_start_is_no_loss_and_neither_is_a_second_service_or_a_restart(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    for service in (start(), start(), start()):
        service.look()
        service.look()
        assert service.losses() == 0
        assert not service.notes["loss"]
    assert not errors(caplog)


def test_after_a_loss_a_withheld_caller_is_not_given_a_number_on_which_another_may_be_on_the_way(
    client: Redis, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    service = start(exhausted="reject")
    service.lease("")
    client.flushall()
    service.look()
    assert errors(caplog) == [f"Redis came back empty; all calls were lost of pool system-y{CARE}"]
    assert service.losses() == 1
    assert "lost calls of pool system-y: until 20" in service.notes["loss"]
    assert service.refuses("") == CAREFUL_MS // 1000
    assert service.lease(A) == "100"
    age(client, CAREFUL_MS - 1_000)
    service.look()
    assert service.refuses("") == 1
    age(client, 1_000)
    service.look()
    assert not service.notes["loss"]
    assert service.lease("") == "101"
    assert service.losses() == 1
    assert not errors(caplog)


def test_after_a_loss_nobody_is_lent_a_number_by_which_alone_he_is_found(client: Redis, start: Start) -> None:
    service = start(match="sole", exhausted="reject")
    service.lease(A)
    client.flushall()
    service.look()
    assert service.refuses(B) == CAREFUL_MS // 1000
    age(client, CAREFUL_MS)
    assert service.lease(B)


def test_after_a_loss_a_call_is_found_by_its_whole_ani_alone(client: Redis, start: Start) -> None:
    service = start(match="suffix")
    client.flushall()
    service.look()
    dnis = service.lease(A)
    assert service.read(dnis, "1" + A) is None
    assert service.store.explain(service.pools.of(dnis)[0], "1" + A).grade == ""
    assert service.store.renew(service.pools.of(dnis)[0], "1" + A, TTL_MS) is None
    assert service.store.take(service.pools.of(dnis)[0], "1" + A, "y") is None
    assert service.read(dnis, A) == f'"of {A}"'
    age(client, TTL_MS)
    dnis = service.lease(A)
    age(client, CAREFUL_MS - TTL_MS)
    assert service.read(dnis, "1" + A) == f'"of {A}"'


def test_a_loss_is_told_to_redis_before_a_number_is_in_place_again(client: Redis, start: Start) -> None:
    service = start()
    client.flushall()
    service.heartbeat.look()
    assert client.get(LOST) == "empty"
    assert not client.exists("cti:{system-y}:numbers")


@pytest.mark.parametrize(("after_loss_ms", "left_ms"), [(0, 0), (7_000, 7_000), (-1, CAREFUL_MS)])
def test_how_long_to_be_careful_is_configured(
    client: Redis, start: Start, caplog: pytest.LogCaptureFixture, after_loss_ms: int, left_ms: int
) -> None:
    service = start(careful_ms=after_loss_ms)
    client.flushall()
    service.look()
    assert max(client.pttl(LOST), 0) in range(left_ms - 999, left_ms + 1)
    assert service.losses() == 1
    (told,) = errors(caplog)
    assert told.endswith(CARE) == (left_ms > 0)


def test_that_the_care_is_over_is_told_once_and_for_each_pool(
    client: Redis, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    service = start(make_pool("100", name="one", careful_ms=9_000), make_pool("200", name="two", careful_ms=99_000))
    over = "the time of after_loss is over in pool {}: all callers are served again"

    def said() -> list[str]:
        service.look()
        told = [record.getMessage() for record in caplog.records if record.name == "cticache.data.heartbeat"]
        caplog.clear()
        return told

    assert not said()
    client.flushall()
    (lost,) = said()
    until = service.notes["loss"].partition("until ")[2].partition(" ")[0]
    assert f"; until {until} only" in lost
    assert not said()
    age(client, 10_000)
    assert said() == [over.format("one")]
    assert not said()
    age(client, 90_000)
    assert said() == [over.format("two")]
    assert not said()


def test_each_pool_that_lost_its_calls_is_told_and_no_other(client: Redis, start: Start) -> None:
    """In a Cluster, one node may come back empty."""
    service = start(make_pool("100", name="one"), make_pool("200", name="two"))
    for key in client.keys("cti:{one}:*"):
        client.delete(key)
    service.look()
    assert (service.losses("one"), service.losses("two")) == (1, 0)
    assert service.refuses("", "one")
    assert service.lease("", "two")


def test_a_second_loss_is_told_too(client: Redis, start: Start) -> None:
    service = start()
    for _ in range(2):
        client.flushall()
        service.look()
        assert service.losses() == 1
        service.look()
    assert service.losses() == 1


def test_two_services_tell_one_loss_once_and_each_says_so(
    client: Redis, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = start(), start()
    for _ in range(3):
        one.look()
        other.look()
    client.flushall()
    one.look()
    other.look()
    assert one.losses() == 1
    assert errors(caplog) == [
        f"Redis came back empty; all calls were lost of pool system-y{CARE}",
        f"another cticache has told that Redis lost calls of pool system-y{CARE}",
    ]
    assert other.notes["loss"] == one.notes["loss"]
    one.look()
    other.look()
    assert one.losses() == 1
    assert not errors(caplog)


def test_a_service_started_on_the_emptied_redis_does_not_hide_the_loss(client: Redis, start: Start) -> None:
    before = start()
    client.flushall()
    start()
    before.look()
    assert before.losses() == 1
    assert before.refuses("")


# Redis came back with an older state


def test_an_older_state_is_a_loss_and_what_it_holds_may_be_over(
    client: Redis, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    service = start(match="suffix", exhausted="reject")
    withheld, known = service.lease(""), service.lease(A)
    with restored(client):
        service.look()
        service.look()
    service.look()
    lost = f"Redis came back with an older state; the latest calls were lost of pool system-y{CARE}"
    assert errors(caplog) == [lost]
    assert service.losses() == 1
    assert service.read(withheld, "") is None
    assert service.store.explain(service.pools.of(withheld)[0], "").like == ""
    assert service.store.pool_stats(list(service.pools))[0].other_live_total == 0
    assert service.read(known, "1" + A) is None
    assert service.read(known, A) == f'"of {A}"'
    assert service.refuses("")


@pytest.mark.parametrize("match", ["exact", "suffix", "sole"])
def test_of_an_older_state_nothing_is_found_by_its_number_alone(client: Redis, start: Start, match: str) -> None:
    service = start(match=match, exhausted="reject")
    dnis = service.lease(A)
    with restored(client):
        service.look()
        service.look()
    service.look()
    assert service.read(dnis, C) is None
    assert service.read(dnis, "") is None


def test_a_backup_put_back_after_redis_came_back_empty_is_an_older_state(client: Redis, start: Start) -> None:
    """As an operator would repair it; also where the backup knew of an earlier loss."""
    service = start(make_pool("100", exhausted="reject", remember_ms=1_000, cooldown_ms=0))
    for _ in range(2):
        service.lease("")
        service.look()
        with restored(client):
            service.store.take(service.pools.of("100")[0], "", "y")
            age(client, 1_000)
            service.lease("")
            client.flushall()
            service.look()
            service.look()
        service.look()
        assert client.get(LOST) == "older"
        assert service.read("100", "") is None
        age(client, CAREFUL_MS)
        service.look()


def test_a_loss_is_told_of_the_pools_that_are_no_longer_configured_too(client: Redis, start: Start) -> None:
    before = start(make_pool("100", name="a", exhausted="reject"))
    before.lease("", "a")
    with restored(client):
        after = start(make_pool("100", name="b", exhausted="reject"))
        after.look()
        after.look()
    after.look()
    assert client.get("cti:{a}:lost") == "older"
    assert client.get("cti:{b}:lost")
    assert [place.pool.name for place in after.pools.of("100")] == ["a", "b"]
    assert all(after.store.read(place, "", "y") is None for place in after.pools.of("100"))


def test_the_care_follows_numbers_to_a_pool_that_is_new(
    client: Redis, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cticache")
    service = start(make_pool("100", name="a", exhausted="reject"))
    service.lease("", "a")
    client.flushall()
    service.look()
    service.pools = Pools([make_pool("100", name="b", exhausted="reject")])
    service.heartbeat.change(service.pools)
    caplog.clear()
    service.look()
    assert service.refuses("", "b") == CAREFUL_MS // 1000
    assert "lost calls of pool b: until 20" in service.notes["loss"]
    assert [record.getMessage() for record in caplog.records if record.name == "cticache.data.heartbeat"] == [
        "care is taken in pool b, too, which may have numbers of a pool that lost calls"
    ]
    restarted = start(make_pool("100", name="c", exhausted="reject"))
    assert restarted.refuses("", "c") == CAREFUL_MS // 1000
    age(client, CAREFUL_MS)
    restarted.look()
    later = start(make_pool("100", name="d", exhausted="reject"))
    assert later.lease("", "d") == "100"


def test_a_start_does_not_shorten_the_care_of_a_pool_that_is_not_configured(client: Redis, start: Start) -> None:
    service = start(make_pool("100", name="a", exhausted="reject", careful_ms=10 * CAREFUL_MS))
    service.lease("", "a")
    client.flushall()
    service.look()
    start(make_pool("100", name="b", exhausted="reject", careful_ms=1_000))
    assert client.pttl("cti:{a}:lost") > 9 * CAREFUL_MS
    assert client.get("cti:{b}:lost") == "older"


def test_a_clock_set_back_is_seen_to_by_the_next_service_where_one_dies_at_it(
    client: Redis, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start(exhausted="reject")
    service.lease(A)
    set_clock(client, service.store, -HOUR_MS)

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(Store, "pool_rescore", killed)
        with pytest.raises(KilledError):
            service.look()
    start(exhausted="reject")
    assert int(client.zscore("cti:{system-y}:numbers", "100") or 0) < now_ms(client) + HOUR_MS
    assert not client.hexists("cti:{system-y}:beat", "back")


def test_one_look_less_is_no_loss(client: Redis, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """So much a crash costs a server that writes its file every second."""
    service = start()
    service.look()
    with restored(client):
        service.look()
    service.look()
    service.look()
    assert service.losses() == 0
    assert not errors(caplog)


def test_an_emptied_redis_does_not_soften_what_an_older_state_asks_for(client: Redis, start: Start) -> None:
    service = start(exhausted="reject")
    service.lease("")
    with restored(client):
        service.look()
        service.look()
    service.look()
    set_clock(client, service.store, 10_000)
    service.look()
    assert client.get(LOST) == "older"


# The clock of Redis


def test_a_clock_set_ahead_is_a_loss(client: Redis, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    service = start(exhausted="reject")
    service.lease("")
    set_clock(client, service.store, HOUR_MS)
    service.look()
    assert errors(caplog) == [
        f"the clock of Redis was set ahead; calls ended before their time in pool system-y{CARE}",
        "the clock of Redis was set ahead by about 3,600 s, in pool system-y; the times kept there have been seen to",
    ]
    assert service.losses() == 1
    assert service.refuses("") == CAREFUL_MS // 1000
    assert service.lease(A)
    assert "set ahead by about 3,600 s" in service.notes["clock"]
    service.look()
    assert service.losses() == 1
    assert not errors(caplog)


class Two:
    """Two services on one Redis, whose clock jumps for both."""

    def __init__(self, client: Redis, start: Start) -> None:
        self.client, self.start = client, start
        self.both = start(), start()
        for service in (*self.both, *self.both):
            service.look()

    def jump(self, ms: int) -> None:
        age(self.client, ms)
        for service in self.both:
            expect_before(service.store, ms)

    def told(self) -> tuple[int, int]:
        """Losses, and jumps of the clock."""
        service = self.both[0]
        stats = service.store.pool_stats(list(service.pools))[0]
        return stats.losses_total, stats.clock_jumps_total


@pytest.fixture
def two(client: Redis, start: Start) -> Two:
    return Two(client, start)


@pytest.mark.parametrize(("ms", "losses"), [(100_000, 1), (3_000, 1), (-3_000, 0), (-HOUR_MS, 0)])
def test_two_services_tell_one_jump_once_and_each_says_so(
    two: Two, caplog: pytest.LogCaptureFixture, ms: int, losses: int
) -> None:
    one, other = two.both
    two.jump(ms)
    one.look()
    caplog.clear()
    other.look()
    assert two.told() == (losses, 1)
    assert "the clock of Redis was set" in errors(caplog)[-1]
    assert other.notes["clock"]
    assert bool(other.notes["loss"]) == bool(losses)
    for service in (one, other, one):
        service.look()
    assert two.told() == (losses, 1)
    assert not errors(caplog)


def test_each_jump_is_told_once_whichever_service_looks_first(two: Two) -> None:
    one, other = two.both
    two.jump(100_000)
    one.look()
    other.look()
    two.jump(50_000)
    other.look()
    one.look()
    assert two.told() == (2, 2)
    two.jump(-150_000)
    one.look()
    other.look()
    assert two.told() == (2, 3)
    two.jump(-10_000)
    one.look()
    other.look()
    assert two.told() == (2, 4)


def test_two_jumps_that_one_service_sees_as_one_are_two(two: Two) -> None:
    one, other = two.both
    two.jump(100_000)
    one.look()
    two.jump(60_000)
    other.look()
    one.look()
    assert two.told() == (2, 2)


def test_a_jump_that_another_has_told_lets_care_be_taken_in_full_from_now_on(two: Two) -> None:
    """The other may have told of one before: what was careful for that has ended with the second jump."""
    one, other = two.both
    two.jump(100_000)
    one.look()
    two.jump(HOUR_MS)
    other.look()
    assert other.refuses("", "system-y") == CAREFUL_MS // 1000
    assert other.notes["loss"]


def test_a_jump_long_ago_hides_none_from_a_service_that_starts(client: Redis, two: Two) -> None:
    two.jump(-HOUR_MS)
    two.both[0].look()
    age(client, -HOUR_MS)
    two.start()
    assert two.told() == (0, 2)


def test_a_jump_that_was_told_before_redis_came_back_empty_hides_no_later_one(two: Two) -> None:
    one, other = two.both
    two.jump(-HOUR_MS)
    one.look()
    other.look()
    two.client.flushall()
    two.jump(-HOUR_MS)
    one.look()
    assert two.told()[1] == 1


@pytest.mark.parametrize("ms", [HOUR_MS, 2_500, -2_500, -HOUR_MS])
def test_a_jump_is_told_by_the_first_lease_and_no_call_is_leased_that_is_found_by_its_number_alone(
    client: Redis, start: Start, ms: int
) -> None:
    service = start(make_pool("100-103"), make_pool("200", name="sole", match="sole", exhausted="reject"))
    set_clock(client, service.store, ms)
    assert service.refuses("") == 1
    assert service.refuses(A, "sole") == 1
    pool = service.pools.get("system-y")
    assert pool
    assert service.store.lease(pool, A, '"v"', "x", TTL_MS).jumped
    service.look()
    assert not service.store.lease(pool, B, '"v"', "x", TTL_MS).jumped
    assert service.store.pool_stats([pool])[0].clock_jumps_total == 1


@pytest.mark.parametrize("ms", [1_500, -900, 0])
def test_a_clock_that_is_off_by_no_more_than_a_request_may_take_has_not_jumped(
    client: Redis, start: Start, caplog: pytest.LogCaptureFixture, ms: int
) -> None:
    service = start()
    set_clock(client, service.store, ms)
    assert service.lease("")
    service.look()
    assert not errors(caplog)
    assert "clock" not in service.notes or not service.notes["clock"]


def test_a_server_that_stood_still_has_not_jumped(start: Start) -> None:
    """Its reply is of a time between the request and now."""
    service = start()
    clocks = service.store.clocks
    sent = clocks.expected("system-y") - 60_000
    assert not clocks.jumped("system-y", sent + 30_000, sent)
    assert clocks.jumped("system-y", sent - 3_000, sent) == -3_000
    assert clocks.jumped("system-y", clocks.expected("system-y") + 3_000, sent) in range(2_900, 3_001)


def test_a_clock_set_back_puts_no_number_out_of_use(
    client: Redis, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    service = start(exhausted="reject")
    taken, live = service.lease(A), service.lease(B)
    service.store.take(service.pools.of(taken)[0], A, "y")
    set_clock(client, service.store, -HOUR_MS)
    service.look()
    assert errors(caplog) == [
        "the clock of Redis was set back by about 3,600 s, in pool system-y; the times kept there have been seen to"
    ]
    assert service.losses() == 0
    figures = service.store.pool_stats(list(service.pools))[0]
    assert (figures.free, figures.leased, figures.cooling, figures.clock_jumps_total) == (2, 1, 1, 1)
    held = service.store.read(service.pools.of(live)[0], B, "y")
    assert held
    assert TTL_MS - 2_000 < held.left_ms <= TTL_MS
    age(client, 5_000)
    assert {service.lease(ani) for ani in ("1", "2", "3")} == {"100", "102", "103"}
    age(client, TTL_MS - 5_000)
    assert service.read(live, B) is None


def test_a_clock_that_was_set_back_while_no_service_ran_is_told_by_the_next_start(client: Redis, start: Start) -> None:
    before = start(exhausted="reject")
    before.store.take(before.pools.of(before.lease(A))[0], A, "y")
    age(client, -HOUR_MS)
    after = start(exhausted="reject")
    assert after.store.pool_stats(list(after.pools))[0].cooling == 1
    age(client, 5_000)
    assert after.store.pool_stats(list(after.pools))[0].free == 4


def test_after_a_clock_was_set_back_a_pair_rests_from_now_on(client: Redis, start: Start) -> None:
    service = start(make_pool("100", exhausted="reject"))
    service.lease("")
    service.store.take(service.pools.of("100")[0], "", "y")
    set_clock(client, service.store, -HOUR_MS)
    service.look()
    age(client, 59_000)
    with pytest.raises(PoolExhausted) as refused:
        service.lease("")
    assert refused.value.retry_after == 1
    age(client, 1_000)
    assert service.lease("") == "100"


def test_a_number_that_rested_before_the_clock_was_set_back_a_little_rests_its_time(
    client: Redis, start: Start
) -> None:
    service = start(make_pool("100", exhausted="reject", cooldown_ms=30_000))
    service.lease(A)
    service.store.take(service.pools.of("100")[0], A, "y")
    age(client, 10_000)
    set_clock(client, service.store, -4_000)
    service.look()
    score = int(client.zscore("cti:{system-y}:numbers", "100") or 0)
    assert 22_000 < score - now_ms(client) <= 24_000


def test_a_call_leased_before_the_time_to_which_the_clock_was_set_back_keeps_its_end(
    client: Redis, start: Start
) -> None:
    service = start()
    dnis = service.lease(A)
    age(client, 100_000)
    end = now_ms(client) + client.pttl("cti:{system-y}:call:100:" + A)
    set_clock(client, service.store, -10_000)
    service.look()
    assert dnis == "100"
    assert abs(now_ms(client) + client.pttl("cti:{system-y}:call:100:" + A) - end - 10_000) < 1_000


def test_a_lease_replayed_after_the_clock_was_set_back_is_of_no_time_to_come(client: Redis, start: Start) -> None:
    service = start()
    pool = service.pools.of("100")[0].pool
    first = service.store.lease(pool, A, '"v"', "x", TTL_MS, key="k")
    set_clock(client, service.store, -HOUR_MS)
    service.look()
    again = service.store.lease(pool, A, '"v"', "x", TTL_MS, key="k")
    assert (again.outcome, again.token) == ("replayed", first.token)
    assert again.leased_ms <= now_ms(client)


@pytest.mark.parametrize("ms", [-10_000, -HOUR_MS])
@pytest.mark.parametrize("promise_ms", [0, 4_000])
def test_a_call_renewed_after_the_clock_was_set_back_and_before_that_is_seen_to_lives_its_new_time(
    client: Redis, start: Start, ms: int, promise_ms: int
) -> None:
    """Its end is by the new clock; it was leased by the old one."""
    service = start(exhausted="reject", remember_ms=5_000)
    dnis = service.lease("", ttl_ms=2_000)
    if promise_ms:
        client.zadd("cti:{system-y}:promised", {dnis: now_ms(client) + promise_ms + 5_000})
        client.expire("cti:{system-y}:promised", 60)
    set_clock(client, service.store, ms)
    held = service.store.renew(service.pools.of(dnis)[0], "", 8_000)
    assert held
    assert held.left_ms == 8_000
    service.look()
    assert service.read(dnis, "") == '"of "'
    assert 7_000 < client.pttl(f"cti:{{system-y}}:call:{dnis}:") <= 8_000
    assert int(client.zscore("cti:{system-y}:numbers", dnis) or 0) > now_ms(client) + 7_000


def test_set_ahead_and_back_again_no_number_has_more_than_max_callers(client: Redis, start: Start) -> None:
    service = start(make_pool("100", max_callers=3, match="exact"))
    for ani in "123":
        service.lease(ani)
    set_clock(client, service.store, 100_000)
    service.look()
    with pytest.raises(PoolExhausted):
        service.lease("4")
    set_clock(client, service.store, -100_000)
    service.look()
    with pytest.raises(PoolExhausted):
        service.lease("5")
    set_clock(client, service.store, HOUR_MS)
    service.look()
    for ani in "678":
        service.lease(ani)
    set_clock(client, service.store, -HOUR_MS)
    service.look()
    with pytest.raises(PoolExhausted):
        service.lease("9")
    assert service.store.pool_stats(list(service.pools))[0].shared == 1
    age(client, TTL_MS)
    assert service.store.pool_stats(list(service.pools))[0].shared == 0


def test_a_clock_set_back_leaves_a_user_the_leases_that_are_allowed(client: Redis, start: Start) -> None:
    service = start()
    service.lease("1", ttl_ms=1_000, max_live=2)
    service.lease("2", max_live=2)
    age(client, 1_000)
    set_clock(client, service.store, -HOUR_MS)
    service.look()
    service.lease("3", max_live=2)
    with pytest.raises(TooManyLive) as refused:
        service.lease("4", max_live=2)
    assert refused.value.retry_after in range(TTL_MS // 1000 - 2, TTL_MS // 1000 + 1)


def test_after_the_clock_was_set_back_a_call_of_another_user_counts_for_nobody_else(
    client: Redis, start: Start
) -> None:
    service = start(make_pool("100-101", exhausted="reject", remember_ms=0, cooldown_ms=0))
    assert [service.lease("1", ttl_ms=1_000, max_live=2), service.lease("2", max_live=2)] == ["100", "101"]
    age(client, 1_000)
    set_clock(client, service.store, -HOUR_MS)
    service.look()
    pool = service.pools.get("system-y")
    assert pool
    assert service.store.lease(pool, "1", '"of another"', "other", TTL_MS, max_live=2).dnis == "100"
    with pytest.raises(PoolExhausted):  # and not TooManyLive
        service.lease("3", max_live=2)
    with pytest.raises(TooManyLive):
        service.lease("3", max_live=1)


def test_a_number_that_moved_waits_for_its_calls_in_the_old_pool_and_no_longer_after_the_clock_was_set_back(
    client: Redis, start: Start, store: Store
) -> None:
    before = start(make_pool("100", name="old"), make_pool("900", name="new", exhausted="reject"))
    before.lease(A, "old")
    after = start(make_pool("200", name="old"), make_pool("100, 900", name="new", exhausted="reject"))
    after.lease("1", "new")
    set_clock(client, after.store, -HOUR_MS)
    after.look()
    old, new = after.pools.of("100")
    assert (old.pool.name, new.pool.name) == ("old", "new")
    held = after.store.read(old, A, "y")
    assert held
    with pytest.raises(PoolExhausted) as refused:
        after.lease("2", "new")
    assert refused.value.retry_after in range(TTL_MS // 1000 + 3, TTL_MS // 1000 + 6)  # then 900 falls free
    age(client, TTL_MS + 60_000)
    assert {after.lease(ani, "new") for ani in "34"} == {"100", "900"}


def test_after_a_loss_a_clock_that_is_set_back_makes_careful_for_no_longer(client: Redis, start: Start) -> None:
    service = start(exhausted="reject")
    client.flushall()
    service.look()
    set_clock(client, service.store, -HOUR_MS)
    service.look()
    assert service.refuses("") <= CAREFUL_MS // 1000
    age(client, CAREFUL_MS)
    assert service.lease("")


def test_times_are_set_anew_in_bounded_steps_and_each_once(client: Redis, start: Start) -> None:
    service = start(make_pool("1000-2499"))
    for number in range(1500):
        service.store.lease(next(iter(service.pools)), str(10_000 + number), "1", "x", TTL_MS)
    set_clock(client, service.store, -HOUR_MS)
    service.look()
    now = now_ms(client)
    scores = dict(client.zrange("cti:{system-y}:numbers", 0, -1, withscores=True))
    assert len(scores) == 1500
    assert all(now < score <= now + TTL_MS + 5_000 for score in scores.values())


def test_a_tombstone_of_a_time_to_come_hides_no_call(client: Redis, start: Start) -> None:
    """Otherwise a PBX that shows one number for all would be told for an hour that its calls were taken."""
    service = start(make_pool("100", match="sole", exhausted="reject"))
    pool = service.pools.of("100")[0]
    service.lease(A)
    assert service.store.take(pool, C, "y")
    set_clock(client, service.store, -HOUR_MS)
    service.look()
    age(client, 60_000)
    service.lease(B)
    assert service.store.take(pool, C, "y")


def test_since_when_redis_has_calls_is_kept_where_nothing_was_leased_before(client: Redis, start: Start) -> None:
    beat = "cti:{system-y}:beat"
    service = start()
    born_ms = int(client.hget(beat, "born_ms") or 0)
    assert now_ms(client) - 10_000 < born_ms <= now_ms(client)
    service.lease(A)
    service.look()
    assert client.hget(beat, "born_ms") == str(born_ms), "it is born once"
    client.delete(beat)
    service.look()
    assert client.hmget(beat, "born_ms", "loss") == [None, "empty"], "what is counted is of the time before, too"
    client.flushall()
    service.look()
    assert int(client.hget(beat, "born_ms") or 0) >= born_ms


@pytest.mark.parametrize("wrong", ["-5", "2.5", "1e19", "nan", "abc"])
def test_what_somebody_else_has_written_into_a_beat_is_no_number_that_stays(
    client: Redis, store: Store, new_pool: Callable[..., Pool], wrong: str
) -> None:
    service = Service(store, new_pool("100-109"))
    client.hset("cti:{system-y}:stats", "clock_jumps", wrong)
    client.hset("cti:{system-y}:beat", mapping={"nth": wrong, "ms": wrong, "lost_ms": wrong})
    for _ in range(3):
        service.heartbeat.look()
    set_clock(client, service.store, 100_000)
    service.heartbeat.look()
    assert "set ahead by about 100 s" in service.notes["clock"]
