"""``cticache acl``: a file of users for Redis, under which the service works and its data outlives a restart."""

import hashlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from cticache import cli
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.link.connection import Direct, connect
from cticache.numbering.pools import Pools
from cticache.operate import acl, replay
from kit import servers
from kit.samples import at, make_pool

Print = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Print:
    """Runs ``acl`` for this [redis]: the lines of the file, and what was said beside it."""
    monkeypatch.chdir(tmp_path)

    def run(redis: str, *arguments: str, code: int = 0) -> tuple[list[str], list[str]]:
        Path("config.ini").write_text(f"[redis]\n{redis}\n[pool:x]\nnumbers = 1\n")
        assert cli.main(["acl", *arguments]) == code
        out, err = capsys.readouterr()
        return out.splitlines(), err.splitlines()

    return run


def test_the_user_of_the_url_is_in_the_file_without_its_password(printed: Print) -> None:
    file, said = printed(f"url = redis://ivr:{quote('pass/wörd', safe='')}@redis.example:6379/0\nprefix = one")
    assert len(file) == 2
    words = file[1].split()
    assert words[:3] == ["user", "ivr", "reset"]
    assert f"#{hashlib.sha256('pass/wörd'.encode()).hexdigest()}" in words
    assert [word for word in words if word.startswith("~")] == ["~one:*"]
    assert said == ["Nobody may administer Redis under this file: add one with --admin NAME"]


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1", "redis://:word@127.0.0.1"])
def test_without_a_user_in_the_url_one_is_made_up(printed: Print, url: str) -> None:
    file, said = printed(f"url = {url}")
    found = re.fullmatch(r"The password of cticache is ([0-9a-f]{32}); write cticache:\1@ into \[redis\] url", said[0])
    assert found
    assert file[1].startswith(f"user cticache reset on #{hashlib.sha256(found[1].encode()).hexdigest()} ~cti:* +")


def test_an_administrator_may_be_printed_too(printed: Print) -> None:
    file, said = printed("url = redis://ivr:word@h", "--admin", "root")
    found = re.fullmatch(r"The password of root is ([0-9a-f]{32})", said[0])
    assert found
    digest = hashlib.sha256(found[1].encode()).hexdigest()
    assert file[2] == f"user root reset on #{digest} allkeys allchannels +@all"


@pytest.mark.parametrize("name", ["default", "ivr", "a b", "", "a\nb"])
def test_an_administrator_of_another_s_name_is_refused(printed: Print, name: str) -> None:
    file, said = printed("url = redis://ivr:word@h", "--admin", name, code=2)
    assert not file
    assert "give another name" in " ".join(said)


@pytest.mark.parametrize("name", ["default", "a%20b", "a%0Ab"])
def test_a_service_under_a_name_that_cannot_be_one_is_told(printed: Print, name: str) -> None:
    file, said = printed(f"url = redis://{name}:secret-word@h", code=2)
    assert not file
    assert "the service needs a user of its own" in said[0]
    assert "secret-word" not in said[0]


def test_the_service_may_run_what_its_scripts_run_and_what_it_sends_and_no_more() -> None:
    allowed = {word[1:] for word in servers.everybody().splitlines()[1].split() if word.startswith("+")}
    assert not any(word.startswith("@") for word in allowed)
    assert allowed == {*acl.SENT, *(command.lower() for command in acl.called(read_scripts()))}
    assert {"set", "zadd", "evalsha"} < allowed
    assert allowed.isdisjoint(
        {"config|get", "config", "flushall", "keys", "scan", "acl", "script", "cluster", "eval_ro"}
    )


@pytest.fixture(params=servers.programs(), ids=lambda path: path.name)
def engine(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@contextmanager
def started(path: Path, folder: Path, port: int) -> Iterator[None]:
    """A server program on these data, under the file of users; what it logs comes on top of what is there."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [path, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "",
             "--appendonly", "yes", "--aclfile", str(folder / "users.acl")],
            stdout=log,
            stderr=log,
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            process.wait()


class Hardened:
    """A server under the file of users that can be restarted."""

    def __init__(self, path: Path, folder: Path, users: str) -> None:
        self._path, self._folder = path, folder
        self._port = servers.free_port()
        (folder / "users.acl").write_text(users + "\n")

    def url(self, user: tuple[str, str]) -> str:
        return "redis://{}:{}@127.0.0.1:{}/0".format(*user, self._port)

    @contextmanager
    def up(self) -> Iterator[tuple[Redis, Redis]]:
        """The service's client and the administrator's, while it runs."""
        with (
            started(self._path, self._folder, self._port),
            connect(self.url(servers.SERVICE), 5.0) as service,
            connect(self.url(servers.ADMIN), 5.0) as admin,
        ):
            gives_up = time.monotonic() + 20
            while True:
                try:
                    admin.ping()
                except RedisError:
                    assert time.monotonic() < gives_up, self.log()
                    time.sleep(0.01)
                else:
                    break
            yield service, admin

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")


def a_day(client: Redis) -> None:
    """Every kind of write of the scripts."""
    scripts = Scripts(Direct(client), read_scripts())
    scripts.load()
    store = Store(scripts, Keys("cti"), 2)
    pool = make_pool("100-199", retry_window_ms=60_000)
    sync(store, Pools([pool]), take_over=True)
    for ani in range(20):
        store.lease(pool, f"777{ani}", "a value", "x", 600_000, key=f"key {ani}" if ani % 2 else "", max_live=100)
    for ani in range(0, 20, 3):
        got = store.lease(pool, f"888{ani}", "a value", "x", 600_000)
        store.read(at(pool, got.dnis), f"888{ani}", "y")
        store.renew(at(pool, got.dnis), f"888{ani}", 600_000, "another")
        store.take(at(pool, got.dnis), f"888{ani}", "y", key=f"take {ani}")
    store.service_look("id", 0, 600_000, numbers="x", rules="y", who="z")
    store.try_out()


def everything(admin: Redis) -> dict[str, object]:
    """Every key and what it holds."""
    raw = admin.get_connection_kwargs()
    with Redis(host=raw["host"], port=raw["port"], username=raw["username"], password=raw["password"]) as bare:
        return {key.decode(): _canonical(bare, key) for key in bare.scan_iter()}


def _canonical(client: Redis, key: bytes) -> object:
    match client.type(key):
        case b"hash":
            return client.hgetall(key)
        case b"zset":
            return client.zrange(key, 0, -1, withscores=True)
    return client.get(key)


def restarted(hardened: Hardened) -> tuple[dict[str, object], dict[str, object], str]:
    """What was in Redis before and after it was started again, and what it is."""
    with hardened.up() as (service, admin):
        a_day(service)
        before = everything(admin)
    with hardened.up() as (_, admin):
        info = admin.info("server")
        after = everything(admin)
    kind = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"
    return before, after, kind


def test_under_the_file_no_key_is_lost_when_redis_starts_again(
    tmp_path: Path, engine: Path, tell: Callable[[str], None]
) -> None:
    hardened = Hardened(engine, tmp_path, servers.everybody())
    before, after, kind = restarted(hardened)
    assert len(before) > 50
    assert after == before
    assert "NOPERM" not in hardened.log()
    tell(f"under the file of users: {kind} started again with {len(after)} of {len(before)} keys, no NOPERM in its log")


DEFAULT_OFF = "user default off"


def test_what_check_says_of_the_default_user_is_what_a_restart_does(
    tmp_path: Path, engine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Redis 7.0 to 8.2 lose the calls where the default user is merely off; 6.2 and Valkey 9.1 do not."""
    others = servers.everybody().splitlines()[1:]
    hardened = Hardened(engine, tmp_path, "\n".join([DEFAULT_OFF, *others]))
    (tmp_path / "config.ini").write_text(
        f"[redis]\nurl = {hardened.url(servers.SERVICE)}\n[pool:x]\nnumbers = 1\n", "utf-8"
    )
    with hardened.up():
        cli.main(["check", "--config", str(tmp_path / "config.ini")])
    told = [line for line in capsys.readouterr().out.splitlines() if "the default user may not run" in line]
    before, after, _ = restarted(hardened)
    assert bool(told) == (after != before) == ("NOPERM" in hardened.log())
    for line in told:
        assert all(command.lower() in line for command in replay.WRITES)
        assert line.endswith("a restart loses every call; give it what `cticache acl` prints for it")


def test_the_writes_that_check_asks_about_are_those_of_the_scripts(client: Redis) -> None:
    commands = client.command()
    writes = {name for name in acl.called(read_scripts()) if "write" in commands[name.lower()]["flags"]}
    assert replay.WRITES.keys() == writes
    for name, arguments in replay.WRITES.items():
        arity = commands[name.lower()]["arity"]
        assert arity in (arguments + 2, -(arguments + 2)), name


def test_what_the_default_user_is_given_is_enough_to_read_the_file(
    tmp_path: Path, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Redis 7.0 to 8.2 ask it; an engine that asks nothing would notice no difference."""
    monkeypatch.setattr(replay, "_is_unchecked", lambda _info: False)
    with Hardened(engine, tmp_path, servers.everybody()).up() as (service, admin):
        for client in (service, admin):
            assert replay.left_out(client, client.info("everything")) == []
        assert replay.is_unknown(service) == (admin.info("server")["redis_version"] < "7")  # 6.2 has no ACL DRYRUN


def test_nobody_can_log_in_as_the_default_user(tmp_path: Path, engine: Path) -> None:
    hardened = Hardened(engine, tmp_path, servers.everybody())
    with hardened.up() as (service, _):
        for word in ("", "default", *servers.SERVICE, *servers.ADMIN):
            url = hardened.url(("default", word))
            with connect(url, 5.0) as client, pytest.raises(RedisError, match=r"invalid|Auth|WRONGPASS|disabled"):
                client.ping()
        for command in (("CONFIG", "GET", "*"), ("FLUSHALL",), ("GET", "other"), ("ACL", "LIST"), ("KEYS", "*")):
            with pytest.raises(NoPermissionError):
                service.execute_command(*command)
