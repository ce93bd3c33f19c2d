"""A demonstration against a service: what it finds, and what it leaves behind."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from cticache.data.store import Store
from cticache.demo.asking import Service, Unanswered
from cticache.demo.callers import Caller
from cticache.demo.play import Play
from cticache.errors import NoSuchCall
from cticache.numbering.pool import Pool
from kit import running
from kit.running import Wire
from kit.samples import PASSWORD, make_pool

RATE = 1_000.0


@pytest.fixture
def match() -> str:
    """The rule of the pool, unless a test has another."""
    return "exact"


@pytest.fixture
def pool(match: str) -> Pool:
    return make_pool("5551234500-5551234539", exhausted="reject", match=match)


@pytest.fixture
def service(new_service: Callable[..., running.Service], pool: Pool) -> running.Service:
    return new_service(pool)


@pytest.fixture
def play(wire: Wire) -> Iterator[Callable[..., Play]]:
    """A demonstration by a user."""
    asked: list[Service] = []

    def play(user: str = "username", pool: str = "") -> Play:
        asked.append(Service(f"http://127.0.0.1:{wire.port}", user, PASSWORD))
        return Play(asked[-1], pool, lambda _come, _of: None, transit_s=0)

    yield play
    for each in asked:
        each.close()


def callers(*ways: str, lost: int = 0) -> Sequence[Caller]:
    fates = [(way, False) for way in ways] + [("", True)] * lost
    return [Caller(f"20155501{at:02}", way, is_lost) for at, (way, is_lost) in enumerate(fates)]


def live(store: Store, pool: Pool) -> int:
    """How many calls are live."""
    return len(store.pool_leases(pool, limit=100).leases)


def test_what_arrives_as_it_was_is_found_and_what_does_not_is_explained(
    play: Callable[..., Play], store: Store, pool: Pool
) -> None:
    played = play()
    found = played.run(callers("", "", "plus", "zero", "withheld", "withheld", lost=2), RATE)
    assert found.found == {"exact": 2}
    assert (found.lost, found.wrong, found.refused) == (2, 0, {})
    assert found.missed == {"plus": 1, "zero": 1, "withheld": 2}
    assert "match = suffix" in found.explained["zero"]
    assert "country_code = 1" in found.explained["plus"]
    assert (len(found.lease_ms), len(found.take_ms)) == (8, 6)
    assert found.pool == "system-y"
    assert found.advice
    assert live(store, pool) == 6
    assert played.close() == 0
    assert live(store, pool) == 0


@pytest.mark.parametrize(
    ("match", "grades"), [("suffix", {"exact": 1, "suffix": 2}), ("sole", {"exact": 1, "suffix": 2, "sole": 1})]
)
def test_it_tells_by_which_rule_a_call_was_found(
    service: running.Service, play: Callable[..., Play], match: str, grades: dict[str, int]
) -> None:
    assert play().run(callers("", "plus", "zero", "withheld"), RATE).found == grades


def test_a_call_of_somebody_else_is_never_taken(play: Callable[..., Play], store: Store, pool: Pool) -> None:
    played = play()
    played.run(callers(lost=1), RATE)
    (own,) = played._own
    theirs = store.lease(pool, "2015550199", '"x"', "ivr", 60_000)
    played._own = {own._replace(dnis=theirs.dnis, ani="2015550199")}
    assert played.close() == 0  # its own is over, as far as it can tell
    assert live(store, pool) == 2


def test_what_was_broken_off_leaves_no_lease(play: Callable[..., Play], store: Store, pool: Pool) -> None:
    played = play()

    def stop(come: int, _of: int) -> None:
        if come == 3:
            raise KeyboardInterrupt

    played._tell = stop
    with pytest.raises(KeyboardInterrupt):
        played.run(callers(lost=10), RATE)
    played.close()
    assert live(store, pool) == 0


def test_a_pool_without_a_free_number_is_told(play: Callable[..., Play], store: Store, pool: Pool) -> None:
    for ani in range(40):
        store.lease(pool, str(ani), '"x"', "ivr", 60_000)
    played = play()
    found = played.run(callers("", ""), RATE)
    assert found.refused == {"pool_exhausted": 2}
    assert found.reasons["pool_exhausted"].startswith("No number of pool system-y is free")
    assert (found.calls(), found.pool, found.advice) == (2, "", ())
    assert played.close() == 0
    assert live(store, pool) == 40


def test_who_may_not_watch_is_told_what_the_answer_said(play: Callable[..., Play]) -> None:
    played = play("x-and-y")
    found = played.run(callers("withheld"), RATE)
    assert found.explained == {"withheld": NoSuchCall.says}
    assert found.advice == []
    assert played.close() == 0


def test_who_may_not_take_is_told_how_many_numbers_stay_leased(play: Callable[..., Play]) -> None:
    played = play("x-only")
    assert played.run(callers("", lost=1), RATE).missed == {"": 1}
    assert played.close() == 2


def test_a_pool_can_be_named(play: Callable[..., Play]) -> None:
    assert play(pool="system-y").run(callers(""), RATE).found == {"exact": 1}
    found = play(pool="another").run(callers(""), RATE)
    assert found.refused == {"invalid_fields": 1}
    assert "wrong: pool. No such pool." in found.reasons["invalid_fields"]


def test_a_service_that_has_gone_is_told(play: Callable[..., Play], wire: Wire) -> None:
    played = play()
    wire.stop()
    found = played.run(callers("", ""), RATE)
    assert found.refused == {"no_answer": 2}
    assert played.close() == 0


def test_a_connection_that_has_been_idle_is_opened_again(wire: Wire) -> None:
    service = Service(f"http://127.0.0.1:{wire.port}", "username", PASSWORD)
    first = service.ask("GET", "/cticache/version")
    opened = service._connection().sock
    assert (first.status, service._connection().sock) == (200, opened)
    service._own.last -= 60
    assert service._connection().sock is None
    assert service.ask("GET", "/cticache/version").status == 200
    service.close()
    with pytest.raises(Unanswered, match="refused"):
        Service("http://127.0.0.1:1", "username", PASSWORD).ask("GET", "/")
