"""The recipes as they are printed, and what each of them must do."""

import contextlib
import json
import re
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Thread
from urllib.request import Request, urlopen

from cticache.operate import recipes
from kit import servers
from kit.samples import basic

POOL, FULL = "hotline", "full"
X, Y = "ivr", "agents"
"""The users. Their password is the recipes' own, which `cticache recipe` leaves as it is."""
PASSWORD = "password"
ANI = "+12345678901"
GENERAL, WITHOUT_DATA = "5550000000", "5550000009"
"""Where a call goes without its data: by the recipe's own number, and by the pool's."""
VALUE = 'Jürgen <o\'Neil> & "Co", 100%41 +1 \\n $x {y}\nline two'
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Printed:
    """One recipe as `cticache recipe` prints it for this server."""

    text: str

    @classmethod
    def of(cls, name: str, url: str, pool: str = POOL) -> "Printed":
        return cls(recipes.filled(recipes.recipe(name), recipes.Filling(url, pool, lessee=X, taker=Y)))

    def block(self, heading: str, language: str, at: int = 0) -> str:
        """A block of code in this language below that heading, the first or another."""
        return str([block[2] for block in _BLOCK.finditer(self.part(heading)) if block[1] == language][at])

    def part(self, heading: str) -> str:
        """All below that heading."""
        (found,) = [
            part for part in re.split(r"^## ", self.text, flags=re.MULTILINE) if part.startswith(f"{heading}\n")
        ]
        return found


@dataclass(frozen=True)
class Desk:
    """A running service."""

    url: str

    def lease(self, value: str = VALUE, ani: str = ANI, pool: str = POOL) -> str:
        """Lease as another System X does; the number."""
        return str(self._ask(X, "", {"ani": ani, "value": value, "pool": pool})["dnis"])

    def take(self, dnis: str, ani: str = ANI) -> object:
        """Take as another System Y does; the value, or None."""
        return self._ask(Y, "/take", {"dnis": dnis, "ani": ani}).get("value")

    def _ask(self, user: str, path: str, fields: dict[str, str]) -> dict[str, object]:
        headers = {"Authorization": basic(user, PASSWORD), "Content-Type": "application/json"}
        body = json.dumps(fields).encode()
        with urlopen(Request(f"{self.url}/cticache/DNIS-ANI{path}?status=200", body, headers)) as answer:
            told: dict[str, object] = json.load(answer)
        return told


@contextlib.contextmanager
def losing_an_answer(url: str) -> Iterator[str]:
    """The URL of a way to this server on which the first answer is lost, as the connection breaks."""
    port = int(url.rpartition(":")[2])

    def carry(near: socket.socket, far: socket.socket, lose: bool) -> None:
        back = Thread(target=_pour, args=(far, None if lose else near))
        back.start()
        if lose:
            far.sendall(near.recv(65536))
            back.join()
        else:
            _pour(near, far)
            _shut(far)
            back.join()
        _shut(near)

    def serve() -> None:
        lose = True
        with contextlib.suppress(OSError):
            while True:
                near = stack.enter_context(listener.accept()[0])
                far = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                ends.extend((near, far))
                carriers.append(Thread(target=carry, args=(near, far, lose)))
                carriers[-1].start()
                lose = False

    ends: list[socket.socket] = []
    carriers: list[Thread] = []
    with contextlib.ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as listener:
        server = Thread(target=serve)
        server.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        _shut(listener)
        server.join()
        for end in ends:  # a client may keep its connection
            _shut(end)
        for thread in carriers:
            thread.join()


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _pour(source: socket.socket, into: socket.socket | None) -> None:
    """All that comes; what is lost is so once the service has answered."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if not into:
                return
            into.sendall(data)


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """The URL of a server that does not answer."""
    yield f"http://127.0.0.1:{servers.free_port()}"


class AsX(ABC):
    """What a recipe for System X does."""

    @abstractmethod
    def lease(self, url: str, pool: str, ani: str, value: str, call: str) -> str:
        """Run it; the number that the call is transferred to."""

    value = VALUE
    """What the platform can carry."""
    full = WITHOUT_DATA
    """Where a call goes for which there is no number: the recipe's own number where the platform drops the refusal."""

    general = GENERAL
    """The recipe's own number."""
    repeats = True
    """Whether it asks again where an answer is lost."""

    def test_the_data_of_each_call_waits_for_it(self, desk: Desk) -> None:
        numbers = {self.lease(desk.url, POOL, ANI, f"{self.value}{call}", f"call-{call}"): call for call in range(2)}
        assert len(numbers) == 2
        for number, call in numbers.items():
            assert desk.take(number) == f"{self.value}{call}"

    def test_a_repetition_gets_the_same_number(self, desk: Desk) -> None:
        assert len({self.lease(desk.url, POOL, ANI, self.value, "call-1") for _ in range(2)}) == 1

    def test_an_answer_that_is_lost_costs_no_second_number(self, desk: Desk) -> None:
        with losing_an_answer(desk.url) as url:
            number = self.lease(url, POOL, ANI, self.value, "call-1")
        again = self.lease(desk.url, POOL, ANI, self.value, "call-1")
        assert number == (again if self.repeats else self.general)
        number = again
        assert desk.take(number) == self.value

    def test_without_a_number_the_call_goes_on_without_its_data(self, desk: Desk) -> None:
        desk.lease(pool=FULL, ani="+12345678999")
        assert self.lease(desk.url, FULL, ANI, self.value, "call-1") == self.full

    def test_without_an_answer_the_call_goes_to_the_general_number(self) -> None:
        with nobody() as url:
            assert self.lease(url, POOL, ANI, self.value, "call-1") == self.general


class AsY(ABC):
    """What a recipe for System Y does."""

    @abstractmethod
    def take(self, url: str, dnis: str, ani: str, call: str) -> str | None:
        """Run it; the data that the call goes on with, None if it has none."""

    value = VALUE
    """What the platform can carry."""
    repeats = True
    """Whether it asks again where an answer is lost."""

    def test_each_call_gets_its_own_data_and_repeated_the_same(self, desk: Desk) -> None:
        dnis, other = desk.lease(self.value), desk.lease(f"{self.value}2")
        assert dnis != other
        for call, number in (("call-1", dnis), ("call-2", other), ("call-1", dnis)):
            assert self.take(desk.url, number, ANI, call) == self.value + ("2" if number == other else "")

    def test_data_whose_answer_is_lost_are_given_again(self, desk: Desk) -> None:
        dnis = desk.lease(self.value)
        with losing_an_answer(desk.url) as url:
            assert self.take(url, dnis, ANI, "call-1") == (self.value if self.repeats else None)
        assert self.take(desk.url, dnis, ANI, "call-1") == self.value

    def test_data_are_given_to_one_call_alone(self, desk: Desk) -> None:
        dnis = desk.lease(self.value)
        assert self.take(desk.url, dnis, ANI, "call-1") == self.value
        assert self.take(desk.url, dnis, ANI, "call-2") is None

    def test_a_miss_is_a_call_without_data(self, desk: Desk) -> None:
        desk.lease(self.value, ani="+12345678999")
        assert self.take(desk.url, "5551234560", ANI, "call-1") is None

    def test_without_an_answer_the_call_has_no_data(self) -> None:
        with nobody() as url:
            assert self.take(url, "5551234560", ANI, "call-1") is None


class AsBoth(AsX, AsY):
    """What a recipe for both does."""
