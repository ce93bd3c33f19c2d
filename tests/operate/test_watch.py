"""The watch, on a real server: what goes wrong at night is in the log at the next look, once, and so is its end."""

import io
import logging
import pickle
import threading
import time
from collections import Counter

import pytest
from redis import Redis

from cticache.access.passwords import Verifier
from cticache.data.condition import Condition
from cticache.data.heartbeat import Heartbeat
from cticache.data.keys import Keys
from cticache.data.replies import PoolStats
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.data.store.asking import Unread
from cticache.data.sync import sync
from cticache.errors import PoolExhausted, RedisUnavailable, TooManyLive
from cticache.link.connection import Direct, connect
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from cticache.operate import watch as module
from cticache.operate.attention import WatchRules
from cticache.operate.watch import Look, Watch
from kit.aging import age, early_in_a_minute, minutes_pass
from kit.proxy import Impostor, Proxy
from kit.running import until
from kit.samples import at, make_pool, user

RULES = WatchRules(interval=0.01)
NUMBERS = "5551234560-5551234569"


class Night:
    """A service at night: its pool, what is refused in it, and what its log says."""

    def __init__(self, client: Redis, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        early_in_a_minute(client)
        self.client, self.store, self._caplog = client, store, caplog
        self.pool = make_pool(NUMBERS, exhausted="reject", match="exact", ttl_ms=60_000)
        self.other = make_pool("900-909", name="other")
        self.pools = Pools([self.pool, self.other])
        sync(store, self.pools, take_over=True)
        self.refused: Counter[str] = Counter()
        self.condition = Condition(in_place=True)
        self.watch = Watch(
            store,
            self.pools,
            RULES,
            condition=lambda: self.condition,
            users=lambda: [user("ivr")],
            refused=lambda: self.refused,
        )
        self._ani = 1_000_000
        self.watch.look()  # the first minute is kept
        minutes_pass(client)

    def lease(self, count: int = 1, **more: object) -> list[tuple[str, str]]:
        """So many callers more; where each is, and its ANI."""
        leased = []
        for _ in range(count):
            self._ani += 1
            ani = f"555{self._ani}"
            lent = self.store.lease(self.pool, ani, "1", "ivr", 60_000, **more)  # type: ignore[arg-type]
            leased.append((lent.dnis, ani))
        return leased

    def served(self, count: int = 1) -> None:
        """So many callers are handed over."""
        for _ in range(count):
            ((dnis, ani),) = self.lease()
            assert self.store.take(at(self.pool, dnis), ani, "y")
            age(self.client, 120_000)

    def look(self, times: int = 1) -> list[tuple[str, str]]:
        """Look; what is said in the log meanwhile: the level, and the sentence."""
        self._caplog.clear()
        for _ in range(times):
            self.watch.look()
        return [
            (record.levelname, record.getMessage()) for record in self._caplog.records if record.name == module.__name__
        ]

    def kinds(self) -> list[str]:
        return [each.kind for each in self.watch.latest.attention]


@pytest.fixture
def night(client: Redis, store: Store, caplog: pytest.LogCaptureFixture) -> Night:
    caplog.set_level(logging.INFO)
    return Night(client, store, caplog)


def test_a_quiet_night_says_nothing(night: Night) -> None:
    night.served(20)
    assert night.look(20) == []
    assert night.watch.latest.attention == ()


def test_a_pool_that_one_client_drains_is_told_and_told_worse_and_full(night: Night) -> None:
    night.lease(8)
    ((level, said),) = night.look()
    assert level == "WARNING"
    assert said.startswith("pool system-y: WARN: 8 of 10 numbers in use, 80 %. User ivr has the most leases, 8. ")
    night.lease()
    ((level, said),) = night.look()
    assert level == "WARNING"
    assert said.startswith("pool system-y: CRIT: 9 of 10 numbers in use, 90 %. User ivr has the most leases, 9. ")
    night.lease()
    assert night.look() == []
    with pytest.raises(PoolExhausted):
        night.lease()
    ((level, said),) = night.look()
    assert level == "WARNING"
    assert said.startswith(
        "pool system-y: FULL: none of 10 numbers is free, 1 call refused in 10 minutes, next free in"
    )
    assert night.look(5) == []
    assert night.kinds() == ["full"]


def test_it_is_over_once_it_was_clearly_better_for_a_minute(night: Night) -> None:
    leased = night.lease(8)
    assert len(night.look()) == 1
    for dnis, ani in leased[:2]:
        night.store.take(at(night.pool, dnis), ani, "y")
    age(night.client, 6_000)  # their rest is over
    assert night.look(5) == []
    ((level, said),) = night.look()
    assert (level, said) == ("INFO", "over: pool system-y: WARN: 8 of 10 numbers in use, 80 %")
    assert night.look(9) == []


def test_what_comes_and_goes_is_told_once(night: Night) -> None:
    night.lease(7)
    told = []
    for _ in range(5):
        ((dnis, ani),) = night.lease()
        told += night.look(2)
        night.store.take(at(night.pool, dnis), ani, "y")
        age(night.client, 6_000)
        told += night.look(3)
    assert [level for level, _ in told] == ["WARNING"]


def test_system_y_seeing_another_ani_is_told_with_the_option_that_helps(night: Night) -> None:
    for dnis, ani in night.lease(4):
        assert night.store.take(at(night.pool, dnis), f"1{ani}", "y") is None
    ((level, said),) = night.look()
    assert level == "WARNING"
    assert said.startswith(
        "pool system-y: 4 of 4 questions in 10 minutes found no call; 4 calls of another ANI were live on the number: "
        "System Y sees another ANI than System X posts, most of them with a prefix more. In the pool match = suffix"
    )
    assert [(each.kind, each.level, each.hint) for each in night.watch.latest.attention] == [
        ("not_found", "CRIT", "explain")
    ]
    assert night.look(3) == []


def test_a_number_that_is_routed_elsewhere_is_named_while_others_are_taken(night: Night) -> None:
    elsewhere = "5551234563"
    for _ in range(60):
        ((dnis, ani),) = night.lease()
        if dnis != elsewhere:
            night.store.take(at(night.pool, dnis), ani, "y")
        age(night.client, 120_000)
    ((level, said),) = night.look()
    assert level == "WARNING"
    assert said.startswith(f"pool system-y: Nobody picks up {elsewhere}: its last ")
    assert night.look(3) == []
    assert [(each.kind, each.about) for each in night.watch.latest.attention] == [("number", elsewhere)]


def test_the_log_has_the_last_digits_of_that_number(night: Night, log: io.StringIO) -> None:
    night.served()
    night.client.zadd("cti:{system-y}:unclaimed", {"5551234563": 9})
    night.client.expire("cti:{system-y}:unclaimed", 60)
    night.watch.look()
    assert "WARNING cticache.operate.watch: pool system-y: Nobody picks up …563: its last 9 leases" in log.getvalue()


def test_calls_of_which_none_is_asked_for_are_told_of_the_pool_and_of_no_number(night: Night) -> None:
    night.served(5)
    minutes_pass(night.client, 30)
    night.watch.look()
    minutes_pass(night.client)
    for _ in range(6):
        night.lease(8)
        age(night.client, 120_000)
    told = night.look()
    assert [level for level, _ in told] == ["WARNING"]
    assert "48 leases ended in 10 minutes without being asked for, and 0 were asked for." in told[0][1]
    assert night.kinds() == ["nobody_asks"]


def test_a_guesser_of_passwords_is_told(night: Night) -> None:
    night.store.login_failed("ivr", "203.0.113.1")
    assert night.look() == []
    for _ in range(40):
        night.store.login_failed("ivr", "203.0.113.1")
    ((level, said),) = night.look()
    assert (level, said[:65]) == ("WARNING", "41 wrong passwords in the last minute, most for user ivr, from 1 ")
    assert night.look(2) == []


def test_a_client_with_one_old_password_is_told(night: Night) -> None:
    verifier = Verifier([user("agents"), user("ivr")], 60, 1000, many=1000, report=night.store.login_failed)
    assert not verifier.user("ivr", "wrong", lambda: "203.0.113.2")
    until(lambda: night.store.login_failures().by_user == {"ivr": 1})
    assert night.look() == []
    for _ in range(60):
        assert not verifier.user("agents", "old", lambda: "203.0.113.1")
    until(lambda: night.store.login_failures().by_user.get("agents") == 60)
    ((level, said),) = night.look()
    assert (level, said[:68]) == ("WARNING", "61 wrong passwords in the last minute, most for user agents, from 2 ")


def test_who_asks_for_numbers_of_no_pool_is_told_and_who_misses_a_call_is_not(night: Night) -> None:
    for _ in range(40):
        night.store.take(at(night.pool, "5551234560"), "999", "y")
    night.refused["not_found"] += 40
    night.look()
    assert night.kinds() == ["not_found"]
    night.refused["not_found"] += 40
    ((level, said),) = night.look()
    assert (level, said[:55]) == ("WARNING", "40 questions in the last minute for numbers of no pool:")


def test_a_count_of_logins_that_is_no_number_hides_nobody_elses(night: Night) -> None:
    night.client.hset("cti:{@logins}:failed", "x", "abc")
    night.look()
    for _ in range(40):
        night.store.login_failed("ivr", "203.0.113.1")
    ((_, said),) = night.look()
    assert "most for user ivr" in said


def test_what_came_more_than_a_minute_ago_is_not_of_the_last_minute(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = time.monotonic
    for minute in range(1, 4):
        for _ in range(20):
            night.store.login_failed("ivr", "203.0.113.1")
        monkeypatch.setattr(module.time, "monotonic", lambda late=61 * minute: clock() + late)
        assert night.look() == []


def test_a_redis_that_was_emptied_is_an_error_in_the_log(night: Night) -> None:
    notes: dict[str, str] = {}
    heartbeat = Heartbeat(night.store, night.pools, notes.__setitem__)  # type: ignore[arg-type]
    heartbeat.look()
    heartbeat.look()
    night.lease(9)
    night.look()
    night.client.flushall()
    heartbeat.look()
    sync(night.store, night.pools, take_over=True)
    night.condition = Condition(in_place=True, notes=notes)  # type: ignore[arg-type]
    ((level, said),) = night.look()
    assert level == "ERROR"
    assert said.startswith("Redis lost calls of pools system-y, other: until ")
    assert night.kinds() == ["loss"]
    night.condition = Condition(in_place=True)
    told = night.look(6)
    assert [level for level, _ in told] == ["INFO", "INFO"]  # the full pool, too, is over


def test_a_loss_that_no_note_tells_of_is_told_of_its_pool(night: Night) -> None:
    night.client.hset("cti:{other}:stats", "losses", 1)
    ((level, said),) = night.look()
    assert (level, said[:36]) == ("ERROR", "pool other: Redis lost calls of the ")


def test_a_user_with_max_live_leases_is_told(night: Night) -> None:
    night.lease(max_live=1)
    with pytest.raises(TooManyLive):
        night.lease(max_live=1)
    ((level, said),) = night.look()
    assert level == "WARNING"
    assert "1 call refused in 10 minutes because a user has max_live leases" in said


def test_it_ends_after_ten_minutes_without_more(night: Night) -> None:
    night.client.hset("cti:{other}:stats", "over_max_live", 1)
    assert len(night.look()) == 1
    for _ in range(12):
        minutes_pass(night.client)
        night.watch.look()
    assert night.watch.latest.attention == ()


def test_two_services_keep_one_history_and_each_has_its_own_log(night: Night, caplog: pytest.LogCaptureFixture) -> None:
    other = Watch(Store(night.store._scripts, Keys("cti"), 2), night.pools, RULES, condition=lambda: night.condition)
    night.lease(8)
    assert len(night.look()) == 1
    other.look()
    assert [each.key for each in other.latest.attention] == [each.key for each in night.watch.latest.attention]
    assert len(night.store.pool_minutes([night.pool], 12)[0].kept) == 2


def test_what_it_found_can_be_sent_to_another_process(night: Night) -> None:
    night.lease(8)
    night.look()
    sent = pickle.loads(pickle.dumps(night.watch.latest))
    assert sent == night.watch.latest
    assert sent.stats["system-y"].leased == 8
    assert sent.at_ms > 1e12


@pytest.mark.parametrize("memory", ["1"])
def test_a_full_redis_can_still_be_looked_at(night: Night, memory: str) -> None:
    night.lease(8)
    night.client.config_set("maxmemory", memory)
    try:
        assert len(night.look()) == 1
    finally:
        night.client.config_set("maxmemory", "0")
    assert night.kinds() == ["used"]


def test_pools_that_cannot_be_read_are_not_said_to_be_well(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Cluster, a node may be away while the others answer."""
    ask = night.store.each_pool_stats

    def one_node_is_away(pools: list[Pool]) -> list[PoolStats | Unread]:
        if night.pool in pools:
            raise RedisUnavailable
        return ask(pools)

    night.lease(8)
    assert len(night.look()) == 1
    monkeypatch.setattr(module, "AT_ONCE", 1)
    monkeypatch.setattr(night.store, "each_pool_stats", one_node_is_away)
    assert night.look(8) == []
    assert night.watch.latest.stats.keys() == {"other"}
    monkeypatch.setattr(night.store, "each_pool_stats", ask)
    assert night.look() == []
    assert night.kinds() == ["used"]


JUNK = {
    "a key of another type": "lessees",
    "a counter that is no number": "stats",
    "a minute that is none": "minutes",
}


@pytest.mark.parametrize("key", JUNK.values(), ids=JUNK.keys())
def test_what_somebody_else_has_written_costs_its_pool_alone(night: Night, key: str) -> None:
    """It is told once, with its reason, and so is its end; the others are looked at all the while."""
    name = f"cti:{{other}}:{key}"
    before = night.client.copy(name, f"{name}:before")
    if key == "lessees":
        night.client.set(name, "the junk", px=60_000)
    else:
        night.client.hset(name, "leased" if key == "stats" else str(night.client.time()[0] // 60 - 2), "the junk")
        night.client.expire(name, 60)
    ((level, said),) = night.look()
    assert level == "WARNING"
    assert said.startswith(
        "pool other: What is kept of it in Redis cannot all be read. A key of cticache holds what somebody else has "
        "put there: give cticache a Redis of its own. ("
    )
    assert "the junk" not in said
    night.lease(8)
    assert [said[:21] for _, said in night.look()] == ["pool system-y: WARN: "]
    assert [(each.kind, each.level, each.pool) for each in night.watch.latest.attention] == [
        ("redis", "CRIT", "other"),
        ("used", "WARN", "system-y"),
    ]
    assert night.look(8) == []
    night.client.rename(f"{name}:before", name) if before else night.client.delete(name)
    assert night.look(5) == []
    assert night.look() == [("INFO", "over: pool other: What is kept of it in Redis cannot all be read")]


def test_while_a_pool_cannot_be_read_wrong_passwords_are_told_and_strangers_are_not(night: Night) -> None:
    night.client.set("cti:{other}:lessees", "junk", px=60_000)
    night.look()
    for _ in range(40):
        night.store.login_failed("ivr", "203.0.113.1")
    night.refused["not_found"] += 40  # all of which may have been missed in that pool
    ((_, said),) = night.look()
    assert said.startswith("40 wrong passwords in the last minute")


def test_what_redis_refuses_for_all_pools_alike_is_told_once_of_the_service(night: Night) -> None:
    def saying(asked: bytes) -> bytes:
        if b"return 1" in asked:
            return b":1\r\n"
        return b"-NOPERM User x has no permissions\r\n" * asked.count(b"EVALSHA\r\n")

    impostor = Impostor(saying)
    with connect(impostor.url, 5.0) as refused:
        runner, night.store._scripts._runner = night.store._scripts._runner, Direct(refused)
        told = night.look(3)
        night.store._scripts._runner = runner
    impostor.close()
    assert [level for level, _ in told] == ["WARNING"]
    assert told[0][1].startswith("Redis refuses its user a command or a key (NOPERM): see what `cticache check` says")
    assert [level for level, _ in night.look(6)] == ["INFO"]


def test_a_redis_that_is_away_is_seen_and_nothing_is_over_or_lost_by_it(
    client: Redis, store: Store, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, module.__name__)
    pool = make_pool(NUMBERS)
    sync(store, Pools([pool]), take_over=True)
    for ani in range(8):
        store.lease(pool, f"555123{ani}", "1", "x", 60_000)
    with connect(proxy.url, 0.3) as connection:
        behind = Store(Scripts(Direct(connection), read_scripts()), Keys("cti"), retry_after=2)
        watch = Watch(behind, Pools([pool]), RULES, condition=Condition)
        watch.look()
        proxy.cut()
        for _ in range(8):
            watch.look()
        (found,) = watch.latest.attention
        assert (found.kind, found.level, found.says[:14]) == ("redis", "CRIT", "Redis is away:")
        assert watch.latest.stats["system-y"].leased == 8
        proxy.restore()
        watch.look()
    assert [each.kind for each in watch.latest.attention] == ["used"]
    assert [record.levelname for record in caplog.records if record.name == module.__name__] == ["WARNING"]


def test_the_thread_outlives_what_it_does_not_expect_says_so_once_and_stops_at_once(
    night: Night, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = threading.Semaphore(0)
    ask, night.watch._rules = night.store.each_pool_stats, WatchRules(interval=0.005)

    def broken(*_: object) -> None:
        looks.release()
        raise ZeroDivisionError

    monkeypatch.setattr(night.store, "each_pool_stats", broken)
    night.watch.latest = Look()
    caplog.clear()
    night.watch.start()
    for _ in range(3):
        assert looks.acquire(timeout=10)
    assert len([record for record in caplog.records if "could not be found out" in record.getMessage()]) == 1
    monkeypatch.setattr(night.store, "each_pool_stats", ask)
    until(lambda: night.watch.latest.at_ms)
    night.watch._rules = WatchRules(interval=3600)
    time.sleep(0.02)
    begun = time.monotonic()
    night.watch.stop()
    assert time.monotonic() - begun < 2
    assert not night.watch._thread.is_alive()


def test_one_that_was_never_started_can_be_stopped(store: Store) -> None:
    Watch(store, Pools([make_pool()]), RULES, condition=Condition).stop()


def test_many_pools_are_asked_some_at_a_time(client: Redis, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pools: list[Pool] = [make_pool(f"{number}", name=f"p{number}") for number in range(101, 202)]
    asked: list[int] = []
    run = store._replies
    monkeypatch.setattr(store, "_replies", lambda some: asked.append(len(some)) or run(some))
    watch = Watch(store, Pools(pools), RULES, condition=Condition)
    watch.look()
    assert max(asked) == 50
    assert len(watch.latest.stats) == 101
