"""What happened to a service, kept until it is sent to the others."""

import logging
from collections.abc import Iterator

import pytest
from redis import Redis

from cticache.data.store import Store
from cticache.errors import Internal, RedisUnavailable
from cticache.journal.events import _MOST_KINDS, MOST_EVENTS, Event, Events
from cticache.journal.refused import Refused
from cticache.logs import NO_NUMBERS
from kit.monotonic import Monotonic

KEY = "cti:{@all}:events"


@pytest.fixture
def events(clock: Monotonic) -> Iterator[Events]:
    events = Events("here", 600, clock)
    logging.root.addHandler(events)
    yield events
    logging.root.removeHandler(events)


def texts(events: Events) -> list[str]:
    return [event.said for event in events.take()]


def test_each_warning_and_error_is_an_event_until_it_is_taken(events: Events, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("cticache.test")
    caplog.set_level(logging.DEBUG, logger.name)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(level, "at %s", "once")
    one, other = events.take()
    assert one == (one.ms, "WARNING", "cticache.test", "at once", "here")
    assert other == (other.ms, "ERROR", "cticache.test", "at once", "here")
    assert 1_700_000_000_000 < one.ms <= other.ms
    assert events.take() == []


def test_an_event_is_one_line_without_a_number_or_what_an_exception_quotes(events: Events) -> None:
    try:
        int("secret-value")
    except ValueError:
        logging.getLogger("cticache.test").exception("caller %s\n\u202e", "1234567890")
    logging.getLogger("cticache.test").error("at %s", "1234567890", extra=NO_NUMBERS)
    logging.getLogger("cticache.test").error("x" * 10_000)
    first, second, third = texts(events)
    assert first == "caller \u2026890\\n\\u202e (ValueError)"
    assert second == "at 1234567890"
    assert len(third) == 500


def test_a_request_that_was_refused_is_none_and_its_cause_is_one(events: Events) -> None:
    refused = Refused()
    refusal = RedisUnavailable("Redis is away")
    refusal.__cause__ = OSError("nobody listens")
    refused.count(refusal)
    refused.log(refusal, "id", address="192.0.2.1", method="GET", route="/readyz", ms=0.1)
    refused.log(Internal(), "id", address="192.0.2.1", method="GET", route="/readyz", ms=0.1)  # a warning in any case
    (told,) = texts(events)
    assert "nobody listens" in told


def test_a_flood_of_one_kind_is_told_five_times_and_then_counted(events: Events, clock: Monotonic) -> None:
    logger = logging.getLogger("cticache.test")
    for number in range(1239):
        logger.warning("refused %d", number)
    logger.warning("another")
    assert texts(events) == [*(f"refused {number}" for number in range(5)), "another"]
    clock.now += 599
    logger.warning("refused %d", 0)
    assert texts(events) == []
    clock.now += 1
    for _ in range(2):
        logger.warning("refused %d", 7)
    assert texts(events) == ["refused 7 (1,235 more like it before)", "refused 7"]


def test_the_oldest_are_dropped_where_nobody_takes_them_and_their_number_is_told(events: Events) -> None:
    for number in range(MOST_EVENTS + 3):
        logging.getLogger("cticache.test").warning(f"kind {number}")
    told = texts(events)
    assert told[:2] == ["3 events before these were dropped: there were too many at once", "kind 3"]
    assert len(told) == MOST_EVENTS + 1
    logging.getLogger("cticache.test").warning("one more")
    assert texts(events) == ["one more"]


def test_any_number_of_kinds_takes_a_bounded_room(events: Events) -> None:
    for number in range(_MOST_KINDS + 50):
        logging.getLogger("cticache.test").warning(f"kind {number}")
    assert len(events._kinds) == _MOST_KINDS


def test_a_record_that_cannot_be_told_is_left_to_the_log(events: Events) -> None:
    events.handle(logging.makeLogRecord({"name": "x", "levelno": logging.ERROR, "msg": "%d", "args": ("SECRET",)}))
    assert events.take() == []


# In Redis


def event(number: int) -> Event:
    return Event(number, "ERROR", "cticache.test", f'one\u2026 "{number}"', "n\u00f6de")


def test_the_newest_of_all_services_are_kept_for_a_month(store: Store, client: Redis) -> None:
    assert store.event_tell([]) == 0
    assert store.events() == []
    for first in range(0, 250, 50):
        assert store.event_tell([event(number) for number in range(first, first + 50)]) == 50
    newest = [event(number) for number in reversed(range(50, 250))]
    assert store.events() == newest
    assert store.events(3) == newest[:3]
    assert client.llen(KEY) == MOST_EVENTS
    assert 29 * 86_400 < client.ttl(KEY) <= 30 * 86_400


def test_of_more_than_are_kept_the_newest_are_told(store: Store) -> None:
    assert store.event_tell([event(number) for number in range(MOST_EVENTS + 10)]) == MOST_EVENTS
    assert (store.events()[0].ms, store.events()[-1].ms) == (MOST_EVENTS + 9, 10)


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "{}", "null", '{"ms":"x"}', '{"ms":null,"level":"x"}', pytest.param("[" * 100_000, id="nested")],
)
def test_what_another_release_has_told_and_cannot_be_read_is_left_out(store: Store, client: Redis, text: str) -> None:
    store.event_tell([event(1)])
    client.lpush(KEY, text, event(2).text().replace("{", '{"more":1,', 1))
    assert store.events() == [event(2), event(1)]
