"""What the parent of a service knows, as far as it takes no processes to see."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from cticache import config
from cticache.data.keeper import Keeper
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.journal.events import MOST_EVENTS, Event
from cticache.link.connection import Direct, connect
from cticache.numbering.pools import Pools
from cticache.operate.desk import Scrape
from cticache.overview import Overview
from kit.proxy import Proxy


@pytest.fixture
def overview(tmp_path: Path, proxy: Proxy) -> Iterator[Overview]:
    path = tmp_path / "config.ini"
    path.write_text("[pool:system-y]\nnumbers = 100-199\n", "utf-8")
    read = config.read(path, {})
    with connect(proxy.url, 0.5) as through:
        store, pools = Store(Scripts(Direct(through), read_scripts()), Keys("cti"), retry_after=2), Pools(read.pools)
        overview = Overview(read, (), store, pools, Keeper(store, pools, interval=3600))
        yield overview
        logging.getLogger().removeHandler(overview._here)


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
