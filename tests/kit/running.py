"""The application in this process, and behind a real waitress."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import falcon
from redis import Redis
from waitress import create_server, wasyncore

from cticache.data.keeper import Keeper
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.link.breaker import Breaker
from cticache.link.connection import Command, Direct, Runner, dial
from cticache.loop.client import HubChannel
from cticache.loop.dispatch import Hub
from cticache.loop.door import Door, Limits
from cticache.loop.listen import reserve
from cticache.loop.redis_channel import OnLoop, RedisChannel
from cticache.loop.stand_ins import StandIns
from cticache.loop.threads import Threads
from cticache.loop.wire import adjustments
from cticache.numbering.pools import Pools
from kit import patience
from kit.servers import as_service
from kit.talk import Talk

MAX_BODY = 4096
STOP_S = 5.0
until = partial(patience.until, looks_s=0.0005)
"""Waits for what another thread is about to do, which has need of the interpreter and the core."""


def files_open() -> int:
    """How many file descriptors this process has, where the system tells."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


@dataclass
class Service:
    """One application and what it stands on."""

    app: falcon.App[Any, Any]
    store: Store
    pools: Pools
    keeper: Keeper
    client: Redis

    def resync(self) -> None:
        """Put the numbers in place again."""
        sync(self.store, self.pools, take_over=True)
        self.keeper.synced.set()


class Watched(Hub):
    """A loop that counts, and that a test can hold between two turns: what it sends then comes in one turn."""

    def __init__(self) -> None:
        super().__init__(STOP_S)
        self.turns = 0
        self.started: list[int] = []
        """How many requests began in each turn."""
        self.patience: list[float] = []
        """How long the loop would have slept in each turn."""
        self.asked: Counter[str] = Counter()
        """What was asked of the selector, and how often."""
        self._gate = threading.Condition()
        self._permits: int | None = None
        self._waits = False
        for name in ("register", "modify", "unregister", "select"):
            setattr(self._selector, name, self._counted(name, getattr(self._selector, name)))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the loop, but for the turns that are asked of it."""
        self._permits = 0
        self._wake()
        with self._gate:
            assert self._gate.wait_for(lambda: self._waits, 20)
        try:
            yield
        finally:
            with self._gate:
                self._permits = None
                self._gate.notify_all()

    def turn(self, count: int = 1, ready: int = 0) -> None:
        """Have it make so many turns, of which none sleeps, once what was sent has arrived of so many clients."""
        if ready:
            until(lambda: self._clients_ready() >= ready)
        with self._gate:
            self._permits, self._waits = count, False
            self._gate.notify_all()
            assert self._gate.wait_for(lambda: self._waits, 20)

    def _clients_ready(self) -> int:
        owners = [getattr(key.data, "__self__", None) for key, _ in self._selector.select(0)]
        return sum(isinstance(owner, HubChannel) for owner in owners)

    def _turn(self) -> None:
        with self._gate:
            while self._permits == 0:
                self._waits = True
                self._gate.notify_all()
                self._gate.wait()
            self._waits = False
            if self._permits is not None:
                self._permits -= 1
        self.turns += 1
        self.started.append(0)
        super()._turn()

    def _patience(self) -> float:
        self.patience.append(super()._patience())
        return self.patience[-1] if self._permits is None else 0

    def _serve(self, channel: HubChannel) -> None:
        self.started[-1] += 1
        super()._serve(channel)

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any) -> Any:
            self.asked[name] += 1
            return call(*args)

        return counted


WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Served:
    """An application behind a real waitress on a free port of the loopback, without a hub in threads."""

    def __init__(self, app: WSGI, hub: Hub | None, *, begins: bool = True, **settings: Any) -> None:
        """Without ``begins`` it only listens until ``begin``."""
        self._listener = reserve("127.0.0.1", 0)
        self.port: int = self._listener.getsockname()[1]
        self.loop = hub or Threads(STOP_S)
        limits = Limits(**{each.name: settings.pop(each.name) for each in fields(Limits) if each.name in settings})
        chosen = {"threads": 8, "asyncore_loop_timeout": 1} | settings
        self.dispatcher = hub or StandIns(chosen["threads"])
        self.server = create_server(
            app, sockets=[self._listener], _dispatcher=self.dispatcher, **adjustments(MAX_BODY, **chosen)
        )
        self.door = Door(self.server, limits)
        self.thread = threading.Thread(target=partial(self.loop.run, self.server), daemon=True)
        if begins:
            self.begin()

    def begin(self) -> None:
        """Serve."""
        self.thread.start()

    def stop(self) -> None:
        """End the loop, from within, and close the sockets."""
        self.loop.stop()
        self.thread.join(20)
        wasyncore.close_all(self.server._map)
        self.loop.close()
        self._listener.close()


class Errand:
    """A request of no client: the loop gives it a turn and a greenlet as it does to those that have one."""

    total_outbufs_len, requests, _fileno = 0, True, None

    def __init__(self, do: Callable[[], Any]) -> None:
        self._do = do
        self.done: Future[Any] = Future()

    def service(self) -> None:
        try:
            self.done.set_result(self._do())
        except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
            self.done.set_exception(error)

    def cancel(self) -> None:
        self.done.cancel()


class InTurn:
    """Runs commands of any thread as the loop runs those of its requests: what comes in one turn is one write."""

    def __init__(self, hub: Hub, runner: Runner) -> None:
        self._hub = hub
        self._runner = runner

    def run(self, commands: Sequence[Command]) -> list[Any]:
        return list(self._sent(partial(self._runner.run, commands)))

    def again(self, commands: Sequence[Command], began: float) -> list[Any]:
        return list(self._sent(partial(self._runner.again, commands, began)))

    def drop(self) -> None:
        self._sent(self._runner.drop)

    def doubt(self) -> None:
        self._runner.doubt()

    def _sent(self, do: Callable[[], Any]) -> Any:
        errand = Errand(do)
        self._hub.call_soon(partial(self._hub.add_task, errand))  # type: ignore[arg-type]
        return errand.done.result(20)


class Wire(Served):
    """The service behind a real waitress, under one dispatcher or the other; under batch its loop is a Watched one."""

    def __init__(
        self, service: Service, dispatch: str = "batch", timeout: float = 5.0, probe: float = 0.05, **settings: Any
    ) -> None:
        self.hub = Watched()
        self._breaker: Breaker | None = None
        if dispatch == "batch":
            client = as_service(service.client)
            self.channel = RedisChannel(self.hub, lambda: dial(client), timeout, probe)
            runner = OnLoop(self.hub, self.channel, Direct(client))
            service.store._scripts._runner = runner
            super().__init__(service.app, self.hub, **settings)
        else:
            self.hub.close()
            self._breaker = Breaker(Direct(service.client), lambda: dial(service.client).close(), probe)
            service.store._scripts._runner = self._breaker
            super().__init__(service.app, None, **settings)

    def stop(self) -> None:
        """As for any; and look no longer for a Redis that is away."""
        super().stop()
        if self._breaker:
            self._breaker.close()


BIG = 24 << 20
"""More than the buffers of two sockets hold and waitress's high-water mark together."""


class Site:
    """An application of plain functions by path, and the clients that call it."""

    def __init__(self, **settings: Any) -> None:
        self.hub = Watched()
        self.seen: list[str] = []
        self.pages: dict[str, Callable[[], bytes]] = {
            "/big": lambda: bytes(BIG),
            "/park": self.park,
            "/later": self.later,
        }
        self.answer: Future[bytes] = Future()
        self.served = Served(self.app, self.hub, **settings)
        self._talks = ExitStack()

    def app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        self.seen.append(environ["PATH_INFO"])
        content = self.pages.get(environ["PATH_INFO"], environ["PATH_INFO"].encode)()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(content)))])
        return [content]

    def park(self) -> bytes:
        """What the test gives to ``answer``, when it does."""
        return bytes(self.hub.wait(self.answer))

    def later(self) -> bytes:
        """What an answer is in which a thread had a part."""
        future: Future[bytes] = Future()
        self.hub.call_soon(lambda: future.set_result(b"later"))
        return bytes(self.hub.wait(future))

    def talk(self, small: bool = False) -> Talk:
        made = Talk(self.served.port, 4096 if small else 0)
        self._talks.callback(made.close)
        return made

    def talks(self, count: int) -> list[Talk]:
        """Clients that have been let in."""
        before = len(self.channels())
        made = [self.talk() for _ in range(count)]
        until(lambda: len(self.channels()) >= before + count)
        return made

    def channels(self) -> list[Any]:
        return list(self.served.server.active_channels.values())

    def close(self) -> None:
        self._talks.close()
        self.served.stop()
