"""The slow hash of a password runs beside the loop, whatever it takes."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing

import pytest

from cticache.access import passwords
from cticache.access.passwords import Verifier
from cticache.loop.dispatch import Hub
from cticache.loop.parking import Parking
from cticache.loop.waiting import Waiter
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.running import MAX_BODY, Service, Wire, until
from kit.samples import PASSWORD, USERS, basic
from kit.talk import Talk, request

QUEUE = 5


class Gate:
    """The hash function, held up until it is opened."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._open = threading.Event()
        self._open.set()

    def shut(self) -> None:
        self._open.clear()
        self.asked.clear()

    def open(self) -> None:
        self._open.set()

    def matches(self, _stored: str, password: str) -> bool:
        self.asked.append(password)
        assert self._open.wait(20)
        return password == PASSWORD


class Guarded:
    """A service that has verified ``username`` already, and whose next hash waits at the gate."""

    def __init__(self, wire: Wire, gate: Gate, stack: ExitStack) -> None:
        self.wire = wire
        self.gate = gate
        self._stack = stack

    def ask(self, user: str, password: str = PASSWORD, path: str = "/cticache/pools") -> Talk:
        talk = self._stack.enter_context(closing(Talk(self.wire.port)))
        return talk.send(request(f"GET {path}").replace(basic("username").encode(), basic(user, password).encode()))


@pytest.fixture
def patience() -> float:
    """For how many seconds a request waits for its hash."""
    return 20.0


@pytest.fixture
def guarded(service: Service, monkeypatch: pytest.MonkeyPatch, patience: float) -> Iterator[Guarded]:
    gate, stack = Gate(), ExitStack()
    monkeypatch.setattr(passwords, "_matches", gate.matches)
    parking: list[Parking] = []

    def wait(future: "Future[bool]", seconds: float) -> None:
        parking[0].wait(future, seconds)

    verifier = Verifier(USERS, 3600, 1000, QUEUE, wait, wait_s=patience)
    service.app = create_app(service.store, service.pools, verifier, service.keeper, audit=Audit(), max_body=MAX_BODY)
    wire = Wire(service)
    parking.append(Parking(wire.hub))
    with stack:
        stack.callback(wire.stop)
        guarded = Guarded(wire, gate, stack)
        assert guarded.ask("username").answer().status == 200
        gate.shut()
        yield guarded
        gate.open()


def test_while_a_hash_is_worked_out_others_are_served(guarded: Guarded) -> None:
    waiting = guarded.ask("x-only")
    until(lambda: guarded.gate.asked)
    for _ in range(5):
        assert guarded.ask("", path="/healthz").answer().status == 200
        assert guarded.ask("username").answer().status == 200
    assert len(guarded.wire.hub._parked) == 1
    guarded.gate.open()
    assert waiting.answer().status == 403


def test_one_hash_is_worked_out_for_all_who_bring_the_same_credentials(guarded: Guarded) -> None:
    right = [guarded.ask("y-only") for _ in range(10)]
    wrong = [guarded.ask("y-only", "wrong") for _ in range(10)]
    until(lambda: len(guarded.wire.hub._parked) == 20)
    guarded.gate.open()
    assert [talk.answer().status for talk in right] == [403] * 10
    assert [talk.answer().status for talk in wrong] == [401] * 10
    assert sorted(guarded.gate.asked) == [PASSWORD, "wrong"]
    assert guarded.ask("y-only", "wrong").answer().status == 401
    assert len(guarded.gate.asked) == 2  # both verdicts are remembered


@pytest.mark.parametrize("patience", [0.01])
def test_who_waits_too_long_is_429_and_known_ones_are_served(guarded: Guarded) -> None:
    """The hash that is under way will be known; those who had no turn go before new ones when they come again."""
    answers = [guarded.ask("nobody", str(n)).answer() for n in range(QUEUE + 2)]
    for answer in answers:
        assert (answer.status, answer.json["error"], answer.headers["retry-after"]) == (429, "too_many_logins", "1")
    assert guarded.ask("username").answer().status == 200
    assert guarded.gate.asked == ["0"]
    assert not guarded.wire.hub._parked
    guarded.gate.open()


def test_a_client_that_leaves_while_its_hash_is_worked_out_disturbs_nobody(guarded: Guarded) -> None:
    gone, stays = guarded.ask("x-only"), guarded.ask("x-only")
    until(lambda: len(guarded.wire.hub._parked) == 2)
    gone.vanish()
    guarded.gate.open()
    assert stays.answer().status == 403


def test_a_hash_that_fails_is_500_and_tried_again(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_stored: str, _password: str) -> bool:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(passwords, "_matches", fail)
        assert [guarded.ask("x-only").answer().status for _ in range(3)] == [500] * 3
    guarded.gate.open()
    assert guarded.ask("x-only").answer().status == 403


def test_the_service_ends_while_a_hash_is_worked_out(guarded: Guarded) -> None:
    waiting = guarded.ask("x-only")
    until(lambda: guarded.wire.hub._parked)
    guarded.wire.hub.stop()
    guarded.gate.open()
    assert waiting.answer().status == 403
    guarded.wire.thread.join(20)
    assert not guarded.wire.thread.is_alive()


def test_of_those_who_waited_in_vain_so_many_go_on_in_one_turn() -> None:
    """The others go on in the turns that follow, and the loop does not sleep before."""
    hub = Hub(1.0)
    parking = Parking(hub, 2)
    waiters = [Waiter() for _ in range(5)]
    parking._until |= dict.fromkeys(waiters, 1.0)
    resumed = []
    for most in (2, 2, 1):
        assert parking.deadline() == 1.0
        parking.tick(2.0)
        assert len(hub._resumes) == most
        while hub._resumes:
            waiter, _, _ = hub._resumes.popleft()
            resumed.append(waiter)
            del parking._until[waiter]
    assert resumed == waiters
    parking.tick(2.0)
    assert not hub._resumes
    hub.close()
