"""What may befall a single Redis."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from kit.clock import Clock, server_with_a_clock
from kit.clusters import seen
from kit.faults.fault import Fault, Form
from kit.faults.history import EVER, Course, Window
from kit.faults.stage import REDIS_PASSWORD, REDIS_USER, TIMEOUT_S, Server, Service
from kit.proxy import Proxy

FSYNC_S = 2.0
"""With appendfsync everysec a write that meets an fsync under way is put off for so long at most (redis.conf)."""
HOUR = 3600
CROWD = 90
"""Clients for all threads of two workers, and as many that wait for one as it takes to see how long."""


@dataclass
class Single:
    """The service, and the one server that it stands on."""

    server: Server
    service: Service

    @classmethod
    @contextmanager
    def made(cls, folder: Path, dispatch: str) -> "Iterator[Single]":
        """Both, for as long as the context lasts."""
        with (
            closing(Server(folder / "redis")) as server,
            closing(Service(folder, server.url, dispatch, ["one"])) as service,
        ):
            yield cls(server, service)


Do = Callable[[Single], object]


def _for_a_while(name: str, do: Do, undo: Do) -> Fault[Single]:
    """Redis refuses for a while, and loses nothing."""

    def befall(scene: Single, form: Form) -> Course:
        begin = time.monotonic()
        do(scene)
        try:
            time.sleep(form.lasts_s)
        finally:
            undo(scene)
        return Course(begin, time.monotonic())

    return Fault(name, befall)


def _setting(name: str, option: str, harmful: str | int, harmless: str | int) -> Fault[Single]:
    return _for_a_while(
        name,
        lambda scene: scene.server.admin.config_set(option, harmful),
        lambda scene: scene.server.admin.config_set(option, harmless),
    )


def _user(scene: Single, *rules: str) -> None:
    scene.server.admin.execute_command("ACL", "SETUSER", REDIS_USER, *rules)


def _killed(scene: Single, form: Form) -> Course:
    begin = time.monotonic()
    scene.server.kill()
    loses = Window(begin - FSYNC_S, time.monotonic())
    time.sleep(form.lasts_s)
    scene.server.start()
    return Course(begin, time.monotonic(), may_lose=[loses])


def _loading(scene: Single, form: Form) -> Course:
    size = int(scene.server.admin.info("persistence")["aof_current_size"])
    commands = max(size // 50, 1)
    begin = time.monotonic()
    scene.server.kill()
    loses = Window(begin - FSYNC_S, time.monotonic())
    delay_us = max(int(form.lasts_s * 1_000_000 / commands), 1)
    scene.server.start("--key-load-delay", str(delay_us))
    scene.server.admin.config_set("key-load-delay", 0)
    return Course(begin, time.monotonic(), may_lose=[loses])


def _stopped(name: str, seconds: float, crowd: int) -> Fault[Single]:
    def befall(scene: Single, _form: Form) -> Course:
        begin = time.monotonic()
        with scene.server.stopped():
            time.sleep(seconds)
        return Course(begin, time.monotonic())

    return Fault(name, befall, crowd)


def _paused(scene: Single, _form: Form) -> Course:
    """As FAILOVER does it: what may write waits, and PING is answered."""
    begin = time.monotonic()
    scene.server.admin.client_pause(60_000, all=False)
    time.sleep(TIMEOUT_S * 3)
    scene.server.admin.client_unpause()
    return Course(begin, time.monotonic())


def _spinning(scene: Single, form: Form) -> Course:
    spinner = Redis(*scene.server.address, decode_responses=True)

    def spin() -> None:
        with suppress(RedisError):
            spinner.eval("while true do end", 0)

    thread = threading.Thread(target=spin)
    begin = time.monotonic()
    thread.start()
    time.sleep(form.lasts_s + 0.2)
    scene.server.admin.script_kill()
    thread.join()
    spinner.close()
    return Course(begin, time.monotonic())


def _scripts_forgotten(scene: Single, form: Form) -> Course:
    begin = time.monotonic()
    for _ in range(form.times):
        scene.server.admin.script_flush()
        time.sleep(form.lasts_s / form.times)
    return Course(begin, time.monotonic(), spared=scene.service.pools)


def _cannot_save(scene: Single) -> None:
    (scene.server.folder / "dump.rdb").mkdir()
    scene.server.admin.config_set("save", "3600 100000000")
    scene.server.admin.bgsave()
    seen(lambda: scene.server.admin.info("persistence")["rdb_last_bgsave_status"] == "err")


def _can_save(scene: Single) -> None:
    (scene.server.folder / "dump.rdb").rmdir()
    scene.server.admin.bgsave()
    seen(lambda: scene.server.admin.info("persistence")["rdb_last_bgsave_status"] == "ok")
    scene.server.admin.config_set("save", "")


def _replica(scene: Single, stale: str) -> None:
    scene.server.admin.config_set("replica-serve-stale-data", stale)
    scene.server.admin.replicaof("127.0.0.1", 1)


def _primary_again(scene: Single) -> None:
    scene.server.admin.execute_command("REPLICAOF", "NO", "ONE")


def _drop_clients(scene: Single) -> None:
    scene.server.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def _no_more_clients(scene: Single) -> None:
    scene.server.admin.config_set("maxclients", 1)
    _drop_clients(scene)


def _other_password(scene: Single) -> None:
    _user(scene, "resetpass", ">another")
    _drop_clients(scene)


def _flushed(scene: Single, _form: Form) -> Course:
    begin = time.monotonic()
    scene.server.admin.flushall()
    return Course(begin, end := time.monotonic(), may_lose=[Window(-EVER, end)])


REDIS: list[Fault[Single]] = [
    Fault("Redis killed", _killed),
    Fault("Redis loads its data", _loading),
    _stopped("Redis stands still, shorter than timeout", TIMEOUT_S * 0.4, 0),
    _stopped("Redis stands still, longer than timeout", TIMEOUT_S * 3, CROWD),
    Fault("Redis holds back what writes", _paused, CROWD),
    _setting("OOM", "maxmemory", 1, 0),
    _for_a_while("MISCONF", _cannot_save, _can_save),
    _for_a_while("READONLY", lambda scene: _replica(scene, "yes"), _primary_again),
    _for_a_while("MASTERDOWN", lambda scene: _replica(scene, "no"), _primary_again),
    Fault("BUSY", _spinning),
    Fault("SCRIPT FLUSH", _scripts_forgotten),
    _setting("NOREPLICAS", "min-replicas-to-write", 1, 0),
    _for_a_while(
        "NOPERM for scripts", lambda scene: _user(scene, "-@scripting"), lambda scene: _user(scene, "+@scripting")
    ),
    _for_a_while(
        "NOPERM for the keys",
        lambda scene: _user(scene, "resetkeys", "~other:*"),
        lambda scene: _user(scene, "resetkeys", "~*"),
    ),
    _for_a_while("WRONGPASS", _other_password, lambda scene: _user(scene, "resetpass", f">{REDIS_PASSWORD}")),
    _for_a_while("maxclients", _no_more_clients, lambda scene: scene.server.admin.config_set("maxclients", 10_000)),
    Fault("FLUSHALL", _flushed),
]


@dataclass
class Proxied:
    """The service, its one server, and a proxy between them; it comes as the default user, who has no password."""

    server: Server
    service: Service
    proxy: Proxy

    @classmethod
    @contextmanager
    def made(cls, folder: Path, dispatch: str) -> "Iterator[Proxied]":
        """All three, for as long as the context lasts."""
        with (
            closing(Server(folder / "redis")) as server,
            closing(Proxy(server.url)) as proxy,
            closing(Service(folder, proxy.url, dispatch, ["one"])) as service,
        ):
            yield cls(server, service, proxy)


def _reset(scene: Proxied, form: Form) -> Course:
    begin = time.monotonic()
    for _ in range(form.times):
        scene.proxy.reset()
        time.sleep(form.lasts_s / form.times)
    return Course(begin, time.monotonic())


def _cut(scene: Proxied, form: Form) -> Course:
    begin = time.monotonic()
    scene.proxy.cut()
    time.sleep(form.lasts_s)
    scene.proxy.restore()
    return Course(begin, time.monotonic())


def _replies_lost(scene: Proxied, form: Form) -> Course:
    begin = time.monotonic()
    scene.proxy.drop_replies()
    time.sleep(form.lasts_s)
    scene.proxy.restore()
    return Course(begin, time.monotonic())


def _password_set(scene: Proxied, form: Form) -> Course:
    begin = time.monotonic()
    scene.server.admin.config_set("requirepass", "another")
    scene.proxy.reset()
    time.sleep(form.lasts_s)
    scene.server.admin.config_set("requirepass", "")
    return Course(begin, time.monotonic())


BETWEEN: list[Fault[Proxied]] = [
    Fault("connections to Redis reset", _reset),
    Fault("connections to Redis refused", _cut),
    Fault("replies of Redis lost", _replies_lost, CROWD),
    Fault("NOAUTH", _password_set),
]


@dataclass
class Timed:
    """The service, and a server whose clock can be set."""

    clock: Clock
    service: Service

    @classmethod
    @contextmanager
    def made(cls, folder: Path, dispatch: str) -> "Iterator[Timed | None]":
        """Both; None where there is no libfaketime."""
        with server_with_a_clock() as clock:
            if not clock:
                yield None
                return
            with closing(Service(folder, clock.url, dispatch, ["one"])) as service:
                yield cls(clock, service)


def _ahead(scene: Timed, _form: Form) -> Course:
    begin = time.monotonic()
    scene.clock.turn(HOUR)
    return Course(begin, end := time.monotonic(), may_lose=[Window(-EVER, end)])


def _back(seconds: int) -> Callable[[Timed, Form], Course]:
    def befall(scene: Timed, _form: Form) -> Course:
        begin = time.monotonic()
        scene.clock.turn(-seconds)
        return Course(begin, time.monotonic())

    return befall


CLOCK: list[Fault[Timed]] = [
    Fault("clock ten seconds back", _back(10)),
    Fault("clock an hour ahead", _ahead),
    Fault("clock an hour back", _back(HOUR)),
]
