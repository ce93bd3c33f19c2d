"""What the parent of a service knows, as far as it takes no processes to see."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cticache import config
from cticache.data.keeper import Keeper
from cticache.data.keys import Keys
from cticache.data.replies import utc
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.services import Registration
from cticache.data.store import Store
from cticache.data.sync import Sync
from cticache.journal.events import MOST_EVENTS, Event
from cticache.link.connection import Direct, connect
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from cticache.operate.desk import Scrape, Status
from cticache.overview import Overview
from kit.proxy import Proxy
from kit.samples import make_pool


@pytest.fixture
def behind(proxy: Proxy, store: Store) -> Iterator[Store]:
    """The store of the service, as the other one, through the proxy."""
    with connect(proxy.url, 0.5) as through:
        yield Store(Scripts(Direct(through), read_scripts()), Keys("cti"), retry_after=2)


@pytest.fixture
def keeper(behind: Store) -> Keeper:
    """The service's own, which has not been started."""
    return Keeper(behind, Pools([make_pool("100-199")]), interval=3600)


@pytest.fixture
def overview(tmp_path: Path, behind: Store, keeper: Keeper) -> Iterator[Overview]:
    path = tmp_path / "config.ini"
    path.write_text("[pool:system-y]\nnumbers = 100-199\n", "utf-8")
    read = config.read(path, {})
    overview = Overview(read, (), behind, Pools(read.pools), keeper)
    yield overview
    logging.getLogger().removeHandler(overview._here)


def of_service(overview: Overview) -> dict[str, Any]:
    """What its page is made of, once what it was made of before is too old."""
    overview._answers.clear()
    desk, long_ago = overview._desk, float("-inf")
    desk._figures, desk._around = desk._figures._replace(read_at=long_ago), desk._around._replace(read_at=long_ago)
    told = overview.answer(Status(("system-y",), "", names_users=True))
    assert isinstance(told, bytes)
    found: dict[str, Any] = json.loads(told)
    return found


def register(store: Store, pool: Pool) -> Registration:
    """Another service with this pool."""
    pools = Pools([pool])
    other = Registration(store, pools, Sync(store, pools, lambda _how_far: None).numbers, 60)
    other.look()
    return other


def test_what_happens_while_redis_is_away_is_told_once_it_is_back(
    overview: Overview, proxy: Proxy, store: Store
) -> None:
    proxy.cut()
    for number in range(3):
        logging.getLogger("cticache.test").warning("trouble %d", number)
        overview._tell_events()
    proxy.restore()
    overview._tell_events()
    overview._tell_events()
    assert [event.said for event in store.events()] == ["trouble 2", "trouble 1", "trouble 0"]


def test_events_that_come_while_others_are_told_are_told_too(
    overview: Overview, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = overview._store.event_tell
    many = [Event(ms, "WARNING", "cticache.test", str(ms), "") for ms in range(1, MOST_EVENTS + 1)]

    def tell_while_more_come(events: list[Event]) -> int:
        monkeypatch.setattr(overview._store, "event_tell", tell)
        overview.reported(many)
        return tell(events)

    monkeypatch.setattr(overview._store, "event_tell", tell_while_more_come)
    overview.reported([many[0]._replace(said="the first")])
    overview._tell_events()
    overview._tell_events()
    assert {event.said for event in store.events()} == {event.said for event in many}


def test_what_several_processes_tell_in_the_same_words_is_one_event(overview: Overview, store: Store) -> None:
    def told(ms: int, said: str = "Redis is away") -> list[Event]:
        return [Event(ms, "WARNING", "cticache.test", said, "")]

    for ms in (1_000, 1_900):
        overview.reported(told(ms))
    overview._tell_events()
    overview.reported(told(3_000))  # of a process that was slower
    overview.reported(told(3_001, "Redis is back"))
    overview.reported(told(20_000))
    overview._tell_events()
    assert [(event.ms, event.said) for event in store.events()] == [
        (20_000, "Redis is away"), (3_001, "Redis is back"), (1_000, "Redis is away"),
    ]  # fmt: skip


def test_who_asks_the_same_a_moment_later_is_told_the_same(overview: Overview) -> None:
    question = Scrape(("system-y",), names_users=True)
    assert overview.answer(question) is overview.answer(question)
    assert overview.answer(question) is not overview.answer(question._replace(names_users=False))


def test_while_redis_is_away_the_services_are_as_the_watch_found_them_last(
    overview: Overview, keeper: Keeper, store: Store, proxy: Proxy
) -> None:
    keeper.registration.look()
    other = register(store, make_pool("100-199"))
    assert [node["same"] for node in of_service(overview)["nodes"]] == [True, True]
    other.leave()
    overview._watch.look()  # nobody has looked at the page since
    proxy.cut()
    told = of_service(overview)
    assert told["redis"]["up"] is False
    assert [node["here"] for node in told["nodes"]] == [True]
    overview._roster._asked_at -= 13
    assert 13 <= of_service(overview)["nodes_age_s"] < 60


def test_a_service_never_differs_from_itself(overview: Overview, keeper: Keeper, proxy: Proxy, tmp_path: Path) -> None:
    keeper.registration.look()
    of_service(overview)
    proxy.cut()
    (tmp_path / "config.ini").write_text("[pool:system-y]\nnumbers = 100-198\nttl = 61\n", "utf-8")
    changed = config.read(tmp_path / "config.ini", {})
    pools = Pools(changed.pools)
    keeper.registration.change(pools, Sync(keeper._store, pools, lambda _how_far: None).numbers)
    overview.change(changed, (), pools)
    (node,) = of_service(overview)["nodes"]
    assert (node["here"], node["same"], node["rules"]) == (True, True, True)


def test_when_a_service_was_started_and_since_when_its_pools_are_in_force_are_two_things(
    overview: Overview, keeper: Keeper
) -> None:
    keeper._registration._tells = overview.tells
    keeper.registration.look()
    before = of_service(overview)
    keeper.registration.change(Pools([make_pool("100-198")]), "other numbers")
    keeper.registration.look()
    (first,), (second,) = before["nodes"], of_service(overview)["nodes"]
    assert first["started_at"] == second["started_at"] == before["service"]["started_at"]
    assert first["in_force_at"] < second["in_force_at"] == utc(keeper.registration._start_ms)


def test_when_a_service_of_an_older_release_was_started_is_not_known(
    overview: Overview, keeper: Keeper, store: Store
) -> None:
    register(store, make_pool("100-199"))
    (node,) = of_service(overview)["nodes"]
    assert node["started_at"] is None
    assert node["in_force_at"].endswith("Z")
