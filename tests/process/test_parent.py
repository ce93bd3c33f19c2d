"""What the parent of a service knows of all its processes, and tells by whichever of them is asked."""

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from cticache.access.passwords import hashed
from kit.processes import kill
from kit.samples import PASSWORD
from kit.serving import Running, until
from kit.sites import port_of, workers_of
from kit.talk import BODY, CALLS, asked, posting, request

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the imitation has one process; tests/windows kills workers"
)
_WATCHER = f"[user:watcher]\npassword = {hashed(PASSWORD)}\nroles = watch\n"
_POST = posting(BODY)


class Service:
    """One that runs, and where it listens."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.port = port_of(running)

    def scrape(self) -> dict[str, float]:
        """What /metrics says: name and labels -> value."""
        answer = asked(self.port, request("GET /metrics", user="watcher"))
        assert answer.status == 200
        found = re.findall(r"^(\w+(?:{.*})?) (\S+)$", answer.content.decode(), re.MULTILINE)
        return {name: float(value) for name, value in found}

    def status(self) -> dict[str, Any]:
        """What /cticache/status says."""
        answer = asked(self.port, request("GET /cticache/status", user="watcher"))
        assert answer.status == 200
        found: dict[str, Any] = json.loads(answer.content)
        return found


@pytest.fixture
def start(start_on: Callable[..., Running], redis_url: str, client: Redis) -> Callable[..., Service]:
    def start(workers: int, dispatch: str = "batch", figures_timeout: float = 20) -> Service:
        server = (
            f"workers = {workers}\ndispatch = {dispatch}\nauth_wait = 30"
            f"\nfigures_age = 0.001\nfigures_timeout = {figures_timeout}"
        )
        return Service(start_on(redis_url, server, "sync_interval = 0.5", pool=f"ttl = 60\n{_WATCHER}"))

    return start


@pytest.mark.parametrize("dispatch", ["batch", "threads"])
def test_one_worker_has_a_parent_too_who_replaces_it_and_keeps_what_it_has_counted(
    start: Callable[..., Service], dispatch: str
) -> None:
    service = start(1, dispatch)
    for _ in range(3):
        assert asked(service.port, _POST).status == 201
    posts = 'cticache_http_requests_total{method="POST",route="/cticache/DNIS-ANI",status="201"}'
    before = service.scrape()
    assert (before[posts], before["cticache_worker_restarts_total"], before["cticache_workers"]) == (3, 0, 1)
    (worker,) = workers_of(service.running)
    assert worker != service.running.process.pid
    kill(worker)
    until(lambda: len(workers_of(service.running)) == 2 and "worker 1 serves" in service.running.said()[-200:])
    assert asked(service.port, _POST).status == 201
    after = service.scrape()
    assert (after[posts], after["cticache_worker_restarts_total"], after["cticache_workers"]) == (4, 1, 1)
    assert after['cticache_http_request_seconds_count{route="/cticache/DNIS-ANI"}'] == 4
    assert after["cticache_connections_accepted_total"] >= 6
    assert 0 < after["cticache_redis_seconds_sum"] < after["cticache_redis_seconds_count"]
    assert (after["cticache_batch_requests_count"] > 0) == (dispatch == "batch")


def test_each_worker_tells_the_figures_of_all(start: Callable[..., Service]) -> None:
    service = start(2)
    until(lambda: service.scrape()['cticache_refusals_total{code="unauthorized"}'] == 0)
    for _ in range(20):
        assert asked(service.port, f"GET {CALLS} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).status == 401
    until(lambda: service.scrape()['cticache_refusals_total{code="unauthorized"}'] == 20)
    connections = [f'cticache_connections{{worker="{worker}"}}' for worker in (1, 2)]
    until(lambda: service.scrape().keys() >= {*connections})  # one that has refused nobody may tell of itself last
    scraped = service.scrape()
    assert scraped['cticache_refused_logins_total{reason="missing"}'] == 20
    for process in ("parent", 1, 2):
        assert scraped[f'cticache_process_resident_memory_bytes{{process="{process}"}}'] > 1_000_000
    assert sum(scraped[name] for name in connections) >= 1


def test_the_parent_writes_the_log_of_its_workers_to_the_last_line(start: Callable[..., Service]) -> None:
    service = start(2)
    for _ in range(50):
        assert asked(service.port, _POST).status == 201
    assert service.running.end(signal.SIGTERM) == 0
    lines = service.running.said().splitlines()
    assert sum("outcome=leased" in line for line in lines) == 50
    assert " INFO cticache.server: stopped by SIGTERM" in lines[-1]


@pytest.mark.parametrize("dispatch", ["batch", "threads"])
def test_while_the_parent_hangs_calls_are_served_and_figures_are_refused_in_time(
    start: Callable[..., Service], dispatch: str
) -> None:
    service = start(1, dispatch, figures_timeout=0.5)
    service.status()
    parent = service.running.process.pid
    os.kill(parent, signal.SIGSTOP)
    until(lambda: Path(f"/proc/{parent}/stat").read_text("ascii").rpartition(") ")[2].startswith("T"))
    try:
        answer = asked(service.port, request("GET /metrics", user="watcher"))
        assert (answer.status, b"could not be had in time" in answer.content) == (503, True)
        for _ in range(20):
            assert asked(service.port, _POST).status == 201
    finally:
        os.kill(service.running.process.pid, signal.SIGCONT)
    until(lambda: service.scrape()['cticache_refusals_total{code="not_ready"}'] == 1)


def test_services_on_one_redis_see_each_other_and_what_happens_to_each(start: Callable[..., Service]) -> None:
    one, two = start(2), start(1)
    who = [f"process {service.running.process.pid} on {socket.gethostname()}" for service in (one, two)]
    until(lambda: [(node["who"], node["here"]) for node in one.status()["nodes"]] == [(who[1], False), (who[0], True)])
    until(lambda: [node["workers"] for node in two.status()["nodes"]] == [1, 2])
    assert all(node["same"] and node["rules"] and node["version"] for node in one.status()["nodes"])
    kill(workers_of(two.running)[0])

    def told() -> list[tuple[str, str]]:
        return [(each["node"], each["level"]) for each in one.status()["events"] if "has ended with" in each["text"]]

    until(lambda: told() == [(who[1], "ERROR")])


def test_what_happens_to_a_worker_is_told_as_of_its_service(start: Callable[..., Service], client: Redis) -> None:
    service = start(1)
    client.set("cti:{system-y}:call:100:1234567890", "of the wrong type", ex=60)
    assert asked(service.port, request(f"GET {CALLS}/100:1234567890")).status == 503
    until(lambda: service.status()["events"])
    (event,) = service.status()["events"]
    assert event["node"] == f"process {service.running.process.pid} on {socket.gethostname()}"
    assert "1234567890" not in event["text"]
