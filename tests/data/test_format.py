"""Releases that write different formats on one real Redis: they serve side by side, or one of them says why not."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from cticache import config
from cticache.commands.opening import opened
from cticache.data import format as formats
from cticache.data.clock import Clocks
from cticache.data.condition import Condition
from cticache.data.follower import Follower, News
from cticache.data.format import OtherFormat
from cticache.data.keeper import Keeper
from cticache.data.outage import Outage
from cticache.data.replies import DataFormat
from cticache.data.store import Store
from cticache.errors import RedisRefuses, UserError
from cticache.link.trouble import AWAY
from cticache.numbering.pools import Pools
from kit import patience
from kit.aging import everything
from kit.samples import at, make_pool

SERVICE = "cti:{@all}:service:"

Release = Callable[..., Keeper]


@pytest.fixture
def release(store: Store, monkeypatch: pytest.MonkeyPatch) -> Release:
    """Makes a service of a release that writes this format, for services that know the other; it has not looked."""

    def make(writes: int, least: int = 1, **named: object) -> Keeper:
        own = Store(store._scripts, store._keys, 2)
        look = own.service_look

        def of_release(*args: object, **named: object) -> object:
            with monkeypatch.context() as patched:
                patched.setattr(formats, "FORMAT", writes)
                patched.setattr(formats, "LEAST_READER", least)
                patched.setattr(formats, "release", lambda: f"0.{writes}.0")
                return look(*args, **named)  # type: ignore[arg-type]

        own.service_look = of_release  # type: ignore[method-assign,assignment]
        return Keeper(own, Pools([make_pool("100")]), interval=3600)

    return make


def ends(keeper: Keeper) -> None:
    keeper._registration.leave()


def test_the_data_have_the_highest_format_that_a_service_has_told(
    client: Redis, release: Release, store: Store
) -> None:
    assert store.data_format() == DataFormat(1, 1, "")
    for writes, least, found in ((2, 1, (2, 1, "0.2.0")), (3, 2, (3, 2, "0.3.0")), (2, 1, (3, 2, "0.3.0"))):
        assert release(writes, least)._look()
        assert store.data_format() == found


def test_this_release_tells_what_it_writes_and_the_one_before_may_serve_beside_it(
    client: Redis, release: Release, store: Store
) -> None:
    assert Keeper(store, Pools([make_pool("100")]), interval=3600)._look()
    assert store.data_format() == (formats.FORMAT, formats.LEAST_READER, formats.release())
    assert formats.LEAST_READER <= formats.FORMAT
    assert release(formats.LEAST_READER)._look()


def test_a_service_touches_no_data_of_a_release_that_it_does_not_know(client: Redis, release: Release) -> None:
    newer = release(4, 3)
    newer._look()
    ends(newer)
    before = everything(client)
    with pytest.raises(OtherFormat) as refused:
        release(2)._look()
    assert everything(client) == before
    assert str(refused.value).startswith(
        "The data in this Redis are of format 4, made by cticache 0.4.0, and only services that know format 3 may "
        "serve them; this is cticache 0.2.0, which knows formats up to 2: upgrade this service"
    )
    assert release(3)._look()


@pytest.mark.parametrize("tells", [True, False])
def test_a_service_waits_until_one_that_must_not_serve_beside_it_has_gone(
    client: Redis, release: Release, *, tells: bool
) -> None:
    older = release(2)
    older._look()
    key = SERVICE + older._registration.service
    if not tells:  # as the releases before there was a number
        client.hdel(key, "format")
        client.delete("cti:{@all}:format")
    before = everything(client)
    newer = release(3, 3)
    with pytest.raises(OtherFormat) as refused:
        newer._look()
    assert everything(client) == before
    known = 2 if tells else 1
    assert f"knows formats of its data up to {known}: {older._registration._who}; this is" in str(refused.value)
    ends(older)
    assert newer._look()
    with pytest.raises(OtherFormat):
        older._look()


def test_a_service_that_died_keeps_nobody_waiting(client: Redis, release: Release) -> None:
    older = release(2)
    older._look()
    client.delete(SERVICE + older._registration.service)
    assert release(3, 3)._look()


def test_while_the_data_are_of_another_format_nothing_else_is_asked_and_the_reason_is_told(
    client: Redis, release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    client.hset("cti:{@all}:format", mapping={"format": 3, "least_reader": 3, "release": "0.3.0"})
    keeper = release(2)
    keeper._interval = 0.01
    pool = make_pool("100")
    keeper.start()
    try:
        patience.until(lambda: "redis" in keeper.condition.notes, looks_s=0.002)
        says = keeper.condition.notes["redis"]
        assert says.startswith("The data in this Redis are of format 3")
        assert not keeper.condition.in_place
        store = keeper._sync._store
        for ask in (lambda: store.pool_stats([pool]), lambda: store.read(at(pool, "100"), "777", "y")):
            with pytest.raises(RedisRefuses) as refused:
                ask()
            assert f"{refused.value.why}." == says
        follower = Follower(Pools([pool]), Clocks(), list[str]().append)
        follower.told(keeper.news())
        assert follower.bar.outage == keeper.condition.outage
        for outage in (Outage(AWAY, 1), None):  # Redis is asked again and again while it is away
            follower.told(News(Condition(outage=outage), {}, None))
            assert not follower.bar.outage
        assert client.keys() == ["cti:{@all}:format"]
        client.flushall()
        patience.until(keeper.synced.is_set, looks_s=0.002)
        assert store.pool_stats([pool])[0].free == 1
    finally:
        keeper.stop()
    assert [record.getMessage() for record in caplog.records if "format" in record.getMessage()] == [says[:-1]]


@pytest.mark.parametrize("odd", ["two", "", "-1", "0", "1.5", "nan", "inf", "1e99"])
@pytest.mark.parametrize("of", ["format", "least_reader"])
def test_a_format_that_is_no_number_is_told_as_what_somebody_else_has_put_there(
    client: Redis, release: Release, store: Store, of: str, odd: str
) -> None:
    kept = {"format": "1", "least_reader": "1", "release": "0.2.0"} | {of: odd}
    client.hset("cti:{@all}:format", mapping=kept)
    for ask in (store.data_format, release(2)._registration.look):
        with pytest.raises(RedisRefuses) as refused:
            ask()
        assert refused.value.why.startswith("A key of cticache holds what somebody else has put there")
    assert client.hgetall("cti:{@all}:format") == kept
    assert client.keys() == ["cti:{@all}:format"]


def test_a_command_looks_at_no_data_of_another_format(client: Redis, redis_url: str, tmp_path: Path) -> None:
    file = tmp_path / "config.ini"
    file.write_text(f"[redis]\nurl = {redis_url}\n[pool:system-y]\nnumbers = 100\n", "utf-8")
    settings = config.read(file, {})
    with ExitStack() as stack:
        opened(settings, stack)
    client.hset("cti:{@all}:format", mapping={"format": 9, "least_reader": 9, "release": "9"})
    with ExitStack() as stack, pytest.raises(UserError, match="made by cticache 9"):
        opened(settings, stack)
