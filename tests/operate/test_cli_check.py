"""``cticache check`` and ``doctor``: what in a Redis server would lose data."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from cticache import cli
from cticache.data.format import FORMAT
from cticache.link.connection import connect
from cticache.link.trouble import AWAY, REFUSALS
from cticache.operate import doctor
from kit import clusters, servers
from kit.clusters import Cluster

SAFE = ("--appendonly", "yes", "--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0")
UNSAVED = "appendonly is off: a crash loses" if servers.HARDENED else "there is no persistence"
"""What is told where Redis keeps nothing; whether it makes snapshots a hardened one tells the administrator alone."""
FORMAT_TOLD = f"  the format of its data is not kept there yet; this release writes {FORMAT}"
Check = Callable[[str], tuple[int, list[str]]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Runs ``check`` against a server: the exit code, and what was printed."""
    for name in [name for name in os.environ if name.startswith("CTICACHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(url: str) -> tuple[int, list[str]]:
        Path("config.ini").write_text(f"[redis]\nurl = {url}\n[pool:x]\nnumbers = 1-3\ndraining = 3-4\n")
        code = cli.main(["check"])
        out, err = capsys.readouterr()
        assert not err
        return code, out.splitlines()

    return run


@pytest.fixture(scope="module")
def safe() -> Iterator[str]:
    """A server that is set up as it should be."""
    with servers.binary(servers.packaged(), *SAFE) as url:
        yield url


@pytest.fixture
def primary(safe: str) -> Iterator[Redis]:
    """That server; what a test sets is set back."""
    with connect(servers.as_admin(safe), 5) as client:
        yield client
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "yes")
        client.config_set("save", "")
        client.config_set("min-replicas-to-write", 0)


@pytest.fixture(scope="module")
def replica(safe: str) -> Iterator[str]:
    """A replica of that server, connected."""
    port = safe.rpartition(":")[2].partition("/")[0]
    with servers.binary(servers.packaged(), *SAFE, "--replicaof", "127.0.0.1", port) as url:
        deadline = time.monotonic() + 20
        with connect(safe, 5) as client, connect(url, 5) as follower:
            while client.info("replication")["connected_slaves"] != 1 or not _linked(follower):
                assert time.monotonic() < deadline, "the replica did not connect"
        yield url


def _linked(follower: Redis) -> bool:
    return bool(follower.info("replication").get("master_link_status") == "up")


def test_a_server_set_up_well_is_told_so(check: Check, safe: str) -> None:
    code, out = check(safe)
    assert code == 0
    assert out[0] == "config.ini: 1 pool, 0 users"
    assert out[1] == "  pool x: 2 numbers, 2 draining"
    assert "no user" in out[2]
    assert out[3].startswith(("Redis: Valkey ", "Redis: Redis "))
    assert out[3].endswith(" answers")
    assert out[4:] == [FORMAT_TOLD, "all well"]


def test_data_that_this_release_must_not_serve_are_a_complaint(check: Check, primary: Redis, safe: str) -> None:
    primary.hset("cti:{@all}:format", mapping={"format": 99, "least_reader": 98, "release": "9.0.0"})
    try:
        code, out = check(safe)
    finally:
        primary.delete("cti:{@all}:format")
    assert code == 1
    assert f"  its data are of format 99; this release writes {FORMAT}" in out
    assert [line for line in out if "made by cticache 9.0.0, and only services that know format 98 may" in line]


@pytest.mark.parametrize(
    ("options", "is_told"),
    [
        ("numbers = 5551234560-5551234569", True),
        ("numbers = 5551234560-5551234569\ncountry_code = 1", False),
        ("numbers = 5551234560-5551234569\ndnis_digits = 4", False),
        ("numbers = +15551234560", False),
        ("numbers = 02079460000\ncountry_code = 1", True),
    ],
)
def test_a_pool_that_cannot_be_asked_for_with_a_plus_is_told_with_what_to_set(
    options: str, is_told: bool, check: Check, safe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check(safe)
    Path("config.ini").write_text(f"[redis]\nurl = {safe}\n[pool:x]\n{options}\n")
    assert cli.main(["check"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "all well"
    told = [line for line in out if "as +.., as cloud platforms do" in line]
    assert len(told) == is_told
    for line in told:
        assert options.split()[2][:10] in line
        assert line.endswith("set country_code to the calling code of its country")


def test_a_remark_on_a_pool_is_no_complaint(check: Check, safe: str, capsys: pytest.CaptureFixture[str]) -> None:
    check(safe)
    rules = "numbers = 100\nmatch = suffix\nafter_loss = 9\nfallback = 200"
    Path("config.ini").write_text(f"[redis]\nurl = {safe}\n[pool:x]\n{rules}\n")
    assert cli.main(["check"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[2].startswith("    after_loss = 9 is shorter")
    assert out[3].startswith("    fallback = 200 is never used")
    assert out[-1] == "all well"


def test_a_server_without_persistence_is_a_complaint(check: Check, primary: Redis, safe: str) -> None:
    primary.config_set("appendonly", "no")
    code, out = check(safe)
    assert code == 1
    assert out[-1] == "1 complaint"
    assert out[-2].startswith(f"COMPLAINT: {UNSAVED}")
    assert "appendonly yes" in out[-2]


def test_snapshots_alone_are_a_complaint(check: Check, primary: Redis, safe: str) -> None:
    primary.config_set("appendonly", "no")
    primary.config_set("save", "3600 1")
    code, out = check(safe)
    assert code == 1
    assert out[-2].startswith("COMPLAINT: appendonly is off: a crash loses the calls since the last snapshot")


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_eviction_is_a_complaint(policy: str, check: Check, primary: Redis, safe: str) -> None:
    primary.config_set("maxmemory-policy", policy)
    code, out = check(safe)
    assert code == 1
    assert out[-2].startswith(f"COMPLAINT: maxmemory-policy is {policy}: ")
    assert "set noeviction" in out[-2]


def test_every_complaint_is_told(check: Check, primary: Redis, safe: str) -> None:
    primary.config_set("maxmemory-policy", "allkeys-lru")
    primary.config_set("appendonly", "no")
    code, out = check(safe)
    assert code == 1
    assert out[-1] == "2 complaints"


def test_the_server_under_test_answers_one_way_or_the_other(check: Check, redis_url: str) -> None:
    with connect(redis_url, 5) as client:
        expected = doctor.complaints(client)
    code, out = check(redis_url)
    assert code == (1 if expected else 0)
    assert [line.removeprefix("COMPLAINT: ") for line in out[5:-1]] == expected


def test_replicas_that_no_write_waits_for_are_a_complaint(check: Check, replica: str, safe: str) -> None:
    code, out = check(safe)
    assert code == 1
    assert out[-1] == "1 complaint"
    assert "min-replicas-to-write is 0" in out[-2]
    assert "min-replicas-to-write 1" in out[-2]


def test_replicas_that_writes_wait_for_are_well(check: Check, replica: str, primary: Redis, safe: str) -> None:
    primary.config_set("min-replicas-to-write", 1)
    assert check(safe)[0] == 0


def test_a_replica_is_a_complaint(check: Check, replica: str) -> None:
    code, out = check(replica)
    assert code == 1
    assert f"COMPLAINT: {REFUSALS['READONLY']}" in out


def test_a_member_of_a_cluster_under_the_url_of_a_server_is_a_complaint(check: Check, cluster: Cluster) -> None:
    code, out = check("redis://{}{}:{}/0".format(servers.login(), *cluster.nodes[0].address))
    assert code == 1
    assert any(
        line.startswith("COMPLAINT: the server is part of a Redis Cluster: write redis+cluster://") for line in out
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with clusters.cluster(*SAFE) as made:
        yield made


def test_a_cluster_set_up_well_is_told_so(check: Check, cluster: Cluster) -> None:
    code, out = check(cluster.url)
    assert code == 0
    assert out[3].startswith(("Redis: a cluster of 3 primaries (Valkey ", "Redis: a cluster of 3 primaries (Redis "))
    assert out[3].endswith(") answers")
    assert out[4:] == [FORMAT_TOLD, "all well"]
    assert [node.calls("script|load") + node.calls("script") > 0 for node in cluster.nodes] == [True] * 3


def test_what_is_wrong_with_a_node_of_a_cluster_is_told_with_its_name(check: Check, cluster: Cluster) -> None:
    wrong = cluster.nodes[1]
    wrong.client.config_set("appendonly", "no")
    try:
        code, out = check(f"redis+cluster://{servers.login()}{cluster.nodes[0].place}")
    finally:
        wrong.client.config_set("appendonly", "yes")
    assert code == 1
    assert out[-1] == "1 complaint"
    assert out[-2].startswith(f"COMPLAINT: {wrong.place}: {UNSAVED}")


def test_a_cluster_that_misses_a_node_is_a_complaint(check: Check) -> None:
    with clusters.cluster(*SAFE, "--cluster-require-full-coverage", "no") as cluster:
        gone = cluster.nodes[2]
        gone.signal(signal.SIGKILL)
        code, out = check(cluster.url)
    assert code == 1
    assert [line for line in out if line.startswith(f"COMPLAINT: {gone.place}: {AWAY.says} (")]


def test_the_primary_that_a_sentinel_names_is_looked_at(check: Check) -> None:
    with clusters.watched() as pair:
        code, out = check(pair.url)
    assert code == 1
    assert any(UNSAVED in line for line in out)
    assert any("min-replicas-to-write is 0" in line for line in out)  # a replica has none


def test_a_sentinel_that_knows_no_such_primary_is_told(
    check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"redis+sentinel://:secret-word@127.0.0.1:{servers.free_port()}/main?sentinel_password=secret-word"
    (tmp_path / "config.ini").write_text(f"[redis]\nurl = {url}\n[pool:x]\nnumbers = 1\n")
    assert cli.main(["check", "--config", str(tmp_path / "config.ini")]) == 1
    said = capsys.readouterr()
    assert "no sentinel that can be reached names a primary main that is up" in said.err
    assert "secret-word" not in said.err + said.out
