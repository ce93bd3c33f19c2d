"""``cticache check``: what would not work, though Redis answers and its settings are right."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from cticache import cli
from cticache.access.passwords import hashed
from cticache.data.format import FORMAT
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.link.connection import Direct, connect
from cticache.link.trouble import REFUSALS
from cticache.numbering.pools import Pools
from cticache.operate import acl, doctor
from kit import clusters, servers
from kit.clusters import Cluster
from kit.samples import make_pool

SAFE = ("--appendonly", "yes", "--maxmemory-policy", "noeviction")
POOL = "[pool:x]\nnumbers = 1-3\n"
HASH = hashed("word")
RULES = ("~cti:*", "+@all")
MARK = "COMPLAINT: "
Check = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], safe: str) -> Check:
    """Runs ``check``: the exit code, and the lines from that about Redis on; with ``whole`` all of them."""
    for name in [name for name in os.environ if name.startswith("CTICACHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(url: str = safe, rest: str = POOL, *, whole: bool = False) -> tuple[int, list[str]]:
        Path("config.ini").write_text(f"[redis]\nurl = {url}\n{rest}", "utf-8")
        code = cli.main(["check"])
        out, err = capsys.readouterr()
        assert not err
        lines = out.splitlines()
        return code, lines if whole else [*_told(lines[_of_redis(lines) + 1 :])]

    return run


def _told(lines: list[str]) -> Iterator[str]:
    """Without the marks, and what is told in any case."""
    return (line.strip().removeprefix(MARK) for line in lines if "this release writes" not in line)


def _of_redis(lines: list[str]) -> int:
    return next(at for at, line in enumerate(lines) if line.startswith("Redis: "))


@pytest.fixture(scope="module")
def safe() -> Iterator[str]:
    """A server that is set up as it should be."""
    with servers.binary((servers.programs() or [servers.packaged()])[0], *SAFE) as url:
        yield url


@pytest.fixture
def admin(safe: str) -> Iterator[Redis]:
    with connect(servers.as_admin(safe), 5.0) as client:
        client.flushall()
        yield client
        client.config_set("min-replicas-to-write", 0)


@pytest.fixture
def as_user(safe: str, admin: Redis) -> Iterator[Callable[..., str]]:
    """The URL of a user with these rules."""

    def make(*rules: str) -> str:
        admin.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">word", *rules)
        return f"redis://limited:word@{safe.rpartition('://')[2].rpartition('@')[2]}"

    yield make
    admin.execute_command("ACL", "DELUSER", "limited")


def test_the_user_that_acl_prints_is_told_nothing(check: Check, as_user: Callable[..., str]) -> None:
    (_, line) = acl.everybody("limited", "word", "cti", acl.called(read_scripts()), None).splitlines()
    code, told = check(as_user(*line.split()[3:]))
    assert (code, told) == (0, ["all well"])


def test_a_complaint_stands_out_of_what_was_merely_seen(check: Check, admin: Redis) -> None:
    admin.config_set("min-replicas-to-write", 5)
    code, lines = check(whole=True)
    marked = [line.startswith(MARK) for line in lines]
    assert (code, marked) == (1, [False] * (len(lines) - 2) + [True, False])


def test_the_format_of_the_data_is_told_where_it_is_that_of_this_release_too(check: Check, admin: Redis) -> None:
    told = f"; this release writes {FORMAT}"
    assert check(whole=True)[1][-2:] == [f"  the format of its data is not kept there yet{told}", "all well"]
    admin.hset("cti:{@all}:format", mapping={"format": FORMAT, "least_reader": 1, "release": "0.2.0"})
    code, lines = check(whole=True)
    assert (code, lines[-2:]) == (0, [f"  its data are of format {FORMAT}{told}", "all well"])


@pytest.mark.parametrize("command", ["ping", "evalsha", "eval", "script|load", "set", "zadd", "pexpireat", "zscan"])
def test_a_command_that_the_user_may_not_run_is_told(check: Check, as_user: Callable[..., str], command: str) -> None:
    code, told = check(as_user(*RULES, f"-{command.partition('|')[0]}"))
    assert code == 1
    assert told == [
        f"the user that [redis] url names may not run {command}, without which calls are lost or refused: "
        f"allow +{command}; `cticache acl` prints the whole file of users",
        "1 complaint",
    ]


def test_several_of_them_are_told_together(check: Check, as_user: Callable[..., str]) -> None:
    code, told = check(as_user(*RULES, "-set", "-zadd", "-hset"))
    assert code == 1
    assert told[0].startswith("the user that [redis] url names may not run set, hset, zadd, ")
    assert told[1:] == ["1 complaint"]


def test_a_wrong_prefix_is_told(check: Check, as_user: Callable[..., str]) -> None:
    code, told = check(as_user("~ctl:*", "+@all"))
    assert code == 1
    assert told == [
        "the user may not use the keys under [redis] prefix = cti; allow ~cti:*; `cticache acl` prints the whole file "
        "of users",
        "1 complaint",
    ]


def test_a_pool_whose_keys_the_user_may_not_use_is_told_by_its_name(check: Check, as_user: Callable[..., str]) -> None:
    pools = "".join(f"[pool:p{n}]\nnumbers = {n}\n" for n in range(10, 17))
    code, told = check(as_user("~cti:{@all}:*", "~cti:{p10}:*", "+@all"), pools)
    assert code == 1
    assert told[0].startswith("pool p11, p12, p13, p14, p15 and 1 more: the user may not use the keys under ")
    assert told[1:] == ["1 complaint"]


def test_replicas_that_are_missing_are_told(check: Check, admin: Redis) -> None:
    admin.config_set("min-replicas-to-write", 1)
    code, told = check()
    assert code == 1
    assert told[0] == REFUSALS["NOREPLICAS"]
    assert told[1:] == ["1 complaint"]


def test_where_redis_does_not_tell_whether_it_loads_its_file_that_is_said_and_no_complaint(
    check: Check, as_user: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check(as_user(*RULES)) == (0, ["all well"])
    monkeypatch.setattr("cticache.operate.replay._is_unchecked", lambda _info: False)  # as on Redis 7.0 to 8.2
    code, told = check(as_user(*RULES, "-acl"))
    assert code == 0
    assert told[0].startswith("whether Redis loads what the scripts wrote when it starts again cannot be told: ")
    assert told[1:] == ["all well"]


def test_a_running_service_is_not_disturbed(check: Check, safe: str, admin: Redis) -> None:
    with connect(safe, 5.0) as client:
        scripts = Scripts(Direct(client), read_scripts())
        scripts.load()
        store, pool = Store(scripts, Keys("cti"), 2), make_pool("1-3", name="x")
        sync(store, Pools([pool]), take_over=True)
        store.lease(pool, "777", "a value", "x", 600_000)
    before = {key: admin.dump(key) for key in admin.scan_iter()}
    assert check() == (0, ["all well"])
    assert {key: admin.dump(key) for key in admin.scan_iter()} == before


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
def test_a_host_that_is_not_this_machine_is_told(check: Check, host: str) -> None:
    code, told = check(rest=f"[server]\nhost = {host}\n{POOL}")
    assert code == 1
    assert told[0].startswith(f"[server] host = {host}: is no address of this machine: ")
    assert told[1:] == ["1 complaint"]


def test_a_port_that_is_in_use_may_be_that_of_the_service(check: Check) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert check(rest=f"[server]\nport = {taken.getsockname()[1]}\n{POOL}") == (0, ["all well"])


@pytest.mark.parametrize(
    ("server", "remarks"),
    [
        ("dispatch = threads\nconnections = 500", []),
        (
            "dispatch = threads\nconnections = 501",
            [
                "[server] auth_threads: who sends a wrong password on more than 500 of 501 connections is not slowed "
                "down; set it to twice as many as connections"
            ],
        ),
        ("connections = 5000", []),
        (
            "auth_wait = 0.1",
            ["[server] auth_wait: so soon right passwords are refused, too, for to check one takes 0.1 s"],
        ),
    ],
)
def test_limits_of_logins_that_do_not_fit_are_told(check: Check, server: str, remarks: list[str]) -> None:
    code, lines = check(rest=f"[server]\n{server}\n{POOL}", whole=True)
    assert [line.strip() for line in lines if line.strip().startswith("[server]")] == remarks
    assert code == 0


@pytest.mark.parametrize(
    ("connections", "workers", "rest"),
    [
        (448, 1, None),
        (449, 1, "workers = 2 has room for as many in all"),
        (1000, 4, "workers = 9 has room for as many in all"),
        (10_000, 4, "ask for fewer"),
    ],
)
def test_more_connections_than_a_process_of_this_system_has_are_told_with_the_workers_that_would_do(
    check: Check, monkeypatch: pytest.MonkeyPatch, connections: int, workers: int, rest: str | None
) -> None:
    monkeypatch.setattr("cticache.check.allowed", lambda wanted: min(wanted, 448))  # as on Windows
    told = f"[server] connections = {connections:,}: a process has 448 at most on this system; {rest}"
    code, lines = check(rest=f"[server]\nconnections = {connections}\nworkers = {workers}\n{POOL}")
    assert (code, lines) == ((1, [told, "1 complaint"]) if rest else (0, ["all well"]))


def test_what_the_environment_overrides_is_shown_and_no_secret(
    check: Check, safe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTICACHE_POOL_X_TTL", "60")
    monkeypatch.setenv("CTICACHE_SERVER_AUDIT_KEY", "secret-word-secret-word")
    monkeypatch.setenv("CTICACHE_REDIS_URL", safe)
    monkeypatch.setenv("CTICACHE_USER_BOB_PASSWORD", HASH)
    monkeypatch.setenv("CTICACHE_SEVER_PORT", "secret-word")
    code, lines = check("redis://secret-word:1", f"{POOL}[user:bob]\npassword = {HASH}\n", whole=True)
    assert code == 0
    assert lines[1:6] == [
        "  environment: CTICACHE_POOL_X_TTL = 60 overrides [pool:x] ttl",
        "  environment: CTICACHE_REDIS_URL overrides [redis] url",
        "  environment: CTICACHE_SERVER_AUDIT_KEY overrides [server] audit_key",
        "  environment: CTICACHE_USER_BOB_PASSWORD overrides [user:bob] password",
        "  environment variable CTICACHE_SEVER_PORT is ignored: no section of the configuration goes by this name; "
        "did you mean CTICACHE_SERVER_PORT?",
    ]
    assert not [line for line in lines if "secret-word" in line or HASH[-20:] in line]


TOKEN = "sha256:" + "0" * 64


def _users(**rights: str) -> str:
    return "".join(f"[user:{name}]\npassword = {HASH}\n{right}\n" for name, right in rights.items())


def test_who_may_do_what_is_told(check: Check) -> None:
    users = _users(
        ivr="roles = lease\nmax_live = 9\nnetworks = 192.0.2.0/24, ::1",
        centre="roles = take, read\npools = x",
        idle="pools =",
        all=f"password_next = {HASH}\ntoken = {TOKEN}",
        watcher="roles = watch",
    )
    code, lines = check(rest=POOL + users, whole=True)
    assert code == 1  # for the one who may do nothing
    assert lines[2 : _of_redis(lines)] == [
        "  user ivr: lease in every pool, at most 9 live leases in a pool; only from 192.0.2.0/24, ::1; has no take",
        "  user centre: read, take in x",
        "  user idle: lease, read, take in no pool",
        "  user all: lease, read, take in every pool; two passwords are right (password_next); 1 token",
        "  user watcher: watch in every pool; has no take",
    ]


OTHERS = "[pool:y]\nnumbers = 4\n[pool:z]\ndraining = 5\n"


@pytest.mark.parametrize(
    ("users", "complaints"),
    [
        (
            {"ivr": "roles = lease", "w": "roles = watch"},
            ["no user may read or take in pool x, y, z: nobody gets the data of its calls"],
        ),
        ({"centre": "roles = take"}, ["no user may lease in pool x, y: give one the role lease, and this pool"]),
        ({"all": "", "ivr": "roles = lease\npools = x"}, []),
        (
            {"a": "pools = x", "ivr": "roles = lease\npools = y"},
            ["no user may read or take in pool y, z: nobody gets the data of its calls"],
        ),
        ({"all": "", "a": "pools =", "b": "roles ="}, ["user a, b may do nothing: roles or pools are empty"]),
        ({"a": "roles = lease, take\npools = x, z", "b": "roles = watch, read, take", "c": "roles = lease"}, []),
    ],
)
def test_a_pool_that_nobody_can_use_is_a_complaint(check: Check, users: dict[str, str], complaints: list[str]) -> None:
    code, told = check(rest=POOL + OTHERS + _users(**users))
    assert code == bool(complaints)
    assert len(told) == len(complaints) + 1
    for line, complaint in zip(told, complaints, strict=False):
        assert line.startswith(complaint)


def test_a_pool_where_calls_can_only_be_read_is_a_remark(check: Check) -> None:
    code, lines = check(rest=POOL + _users(a="roles = lease", b="roles = read"), whole=True)
    assert code == 0
    assert lines[4] == "    no user may take in pool x: each call keeps its number until its ttl"


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ({"garnet_version": "1.0.48"}, "the server is Garnet 1.0.48: it takes scripts only with --lua, and only with "),
        ({"garnet_version": "2.1.5", "redis_version": "7.4.3"}, "the server is Garnet 2.1.5: "),
        ({"redis_version": "6.0.16"}, "the server is version 6.0.16, too old"),
        ({"redis_version": "6.2.0"}, ""),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, ""),
        ({}, ""),
    ],
)
def test_a_server_of_another_kind_is_told(info: dict[str, str], told: str) -> None:
    said = doctor.foreign(info)
    assert len(said) == bool(told)
    assert "".join(said).startswith(told)
    assert ("--lua-transaction-mode" in "".join(said)) == ("garnet_version" in info)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with clusters.cluster(*SAFE) as made:
        yield made


@pytest.mark.parametrize("command", ["ping", "asking", "set", "evalsha"])
def test_a_node_of_a_cluster_with_other_rules_is_found(check: Check, cluster: Cluster, command: str) -> None:
    pools = [f"p{n}" for n in range(12)]
    odd = cluster.owner(clusters.slot("p0"))
    for node in cluster.nodes:
        denied = [f"-{command}"] if node is odd else []
        node.client.execute_command("ACL", "SETUSER", "limited", "reset", "on", ">word", *RULES, *denied)
    places = ",".join(node.place for node in cluster.nodes)
    rest = "".join(f"[pool:{pool}]\nnumbers = {at + 1}\n" for at, pool in enumerate(pools))
    code, told = check(f"redis+cluster://limited:word@{places}", rest)
    assert code == 1
    assert len(told) == 2
    if command in ("ping", "asking"):
        assert told[0].startswith(f"{odd.place}: the user that [redis] url names may not run {command}, ")
    else:
        assert told[0].startswith("pool ")
        assert f": the user that [redis] url names may not run {command}, " in told[0]
        assert "p0" in told[0]
