"""Redis goes away, falls silent or refuses to work: 503 with Retry-After, and all is well when it is back."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
from falcon.testing import Result, TestClient
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from cticache.access.passwords import Verifier
from cticache.data.keeper import Keeper
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.errors import RedisRefuses, RedisUnavailable
from cticache.link.connection import Direct, connect
from cticache.link.trouble import REFUSALS
from cticache.numbering.pools import Pools
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit import servers
from kit.aging import everything
from kit.circles import in_circles
from kit.clusters import seen
from kit.proxy import Proxy
from kit.running import Service, Wire
from kit.samples import make_pool
from kit.talk import Talk, request

pytestmark = pytest.mark.usefixtures("nothing_old")

CALLS = "/cticache/DNIS-ANI"
CALL = f"{CALLS}/5551234560:1234567890"
BODY = '{"value":"v","ani":"1234567890"}'
Asked = tuple[str, str, str]
"""Method, path and body."""
REQUESTS: list[Asked] = [
    ("POST", CALLS, BODY),
    ("GET", CALL, ""),
    ("PUT", CALL, ""),
    ("DELETE", CALL, ""),
    ("POST", CALL + "/take", ""),
    ("GET", "/cticache/pools", ""),
    ("GET", "/readyz", ""),
]
WRITES = REQUESTS[:1] + REQUESTS[2:5]


def _name(request_: Asked) -> str:
    return f"{request_[0]} {request_[1].rpartition('/')[2]}"


class Wired(TestClient):
    """The same client in front of the service under a dispatcher, over real sockets."""

    def __init__(self, port: int) -> None:
        self._port = port

    def simulate_request(self, method: str = "GET", path: str = "/", body: str = "", **_: Any) -> Result:  # type: ignore[override]
        with closing(Talk(self._port)) as talk:
            data = body.encode()
            answer = talk.send(request(f"{method} {path}", f"Content-Length: {len(data)}", body=data)).answer()
        return Result([answer.content], f"{answer.status} -", list(answer.headers.items()))


def ask(api: TestClient, request_: Asked) -> Result:
    method, path, body = request_
    return api.simulate_request(method, path, body=body)


@pytest.fixture
def api(client: Redis, proxy: Proxy, verifier: Verifier, dispatch: str) -> Iterator[TestClient]:
    """The service with Redis behind the proxy; it waits 0.6 s for an answer."""
    with connect(proxy.url, 0.6) as through:
        scripts = Scripts(Direct(through), read_scripts())
        store, pools = Store(scripts, Keys("cti"), retry_after=2), Pools([make_pool()])
        sync(store, pools, take_over=True)
        keeper = Keeper(store, pools, interval=3600)
        keeper.synced.set()
        app = create_app(store, pools, verifier, keeper, audit=Audit(), max_body=4096)
        wire = Wire(Service(app, store, pools, keeper, through), dispatch, timeout=0.6, probe=0.02, threads=2)
        yield Wired(wire.port)
        wire.stop()


def check_unavailable(answer: Result) -> None:
    assert (answer.status_code, answer.json["error"]) == (503, "redis_unavailable")
    assert answer.headers["retry-after"] == "2"
    assert set(answer.json) == {"error", "detail", "status"}
    assert not {"script", "sha", "user_script", "127.0.0.1"} & set(answer.text.lower().replace(":", " ").split())


def is_back(api: TestClient) -> None:
    """Redis can be reached again, which the service finds out by a probe."""
    seen(lambda: api.simulate_get("/readyz").status_code == 200)


def check_hand_over(api: TestClient) -> None:
    """The whole exchange works."""
    posted = api.simulate_post(CALLS, body=BODY)
    assert posted.status_code == 201
    assert api.simulate_delete(posted.headers["location"]).json == {"value": "v"}


@pytest.mark.parametrize("request_", REQUESTS, ids=_name)
@pytest.mark.parametrize("fault", [Proxy.cut, Proxy.drop_replies], ids=["away", "silent"])
def test_without_redis_every_request_is_503_and_the_next_one_after_it_is_back_is_served(
    api: TestClient, proxy: Proxy, fault: Callable[[Proxy], None], request_: Asked
) -> None:
    assert api.simulate_post(CALLS, body=BODY.replace("1234567890", "42")).status_code == 201
    fault(proxy)
    check_unavailable(ask(api, request_))
    assert api.simulate_get("/healthz").status_code == 200
    proxy.restore()
    is_back(api)
    check_hand_over(api)


@pytest.mark.parametrize("fault", [Proxy.cut, Proxy.drop_replies], ids=["away", "silent"])
def test_without_redis_the_metrics_tell_so_and_what_else_is_known(
    api: TestClient, proxy: Proxy, fault: Callable[[Proxy], None]
) -> None:
    assert "cticache_redis_up 1.0\n" in api.simulate_get("/metrics").text
    fault(proxy)
    check_unavailable(api.simulate_delete(CALL))
    scraped = api.simulate_get("/metrics")
    assert scraped.status_code == 200
    assert "cticache_redis_up 0.0\n" in scraped.text
    assert 'cticache_refusals_total{code="redis_unavailable"} 1.0\n' in scraped.text
    assert "cticache_numbers{" not in scraped.text  # nobody knows, which is not 0
    assert "cticache_failed_logins_total" not in scraped.text
    proxy.restore()
    is_back(api)
    assert "cticache_redis_up 1.0\n" in api.simulate_get("/metrics").text


def test_what_redis_holds_is_there_when_it_is_back(api: TestClient, proxy: Proxy) -> None:
    api.simulate_post(CALLS, body=BODY)
    proxy.cut()
    check_unavailable(api.simulate_delete(CALL))
    proxy.restore()
    is_back(api)
    assert api.simulate_delete(CALL).json == {"value": "v"}


def test_a_take_whose_reply_is_lost_is_not_repeated(api: TestClient, proxy: Proxy, client: Redis) -> None:
    api.simulate_post(CALLS, body=BODY)
    proxy.drop_replies()
    check_unavailable(api.simulate_delete(CALL))
    check_unavailable(api.simulate_post(CALLS, body=BODY))
    assert client.hget("cti:{system-y}:stats", "taken") == "1"
    assert client.hget("cti:{system-y}:stats", "leased") == "1"  # it is not asked


def test_more_who_ask_than_can_be_served_at_once_do_not_wait_for_a_redis_that_hangs(
    client: Redis, proxy: Proxy, api: TestClient
) -> None:
    api.simulate_post(CALLS, body=BODY)
    proxy.drop_replies()
    check_unavailable(api.simulate_delete(CALL))
    before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    for request_ in REQUESTS * 3:
        check_unavailable(ask(api, request_))
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before


@contextmanager
def _settings(client: Redis, **settings: str) -> Iterator[None]:
    names = {name: name.replace("_", "-") for name in settings}
    before = {name: client.config_get(name)[name] for name in names.values()}
    for name, text in settings.items():
        client.config_set(names[name], text)
    try:
        yield
    finally:
        for name, text in before.items():
            client.config_set(name, text)


@contextmanager
def full(client: Redis) -> Iterator[None]:
    with _settings(client, maxmemory="1", maxmemory_policy="noeviction"):
        yield


@contextmanager
def too_few_replicas(client: Redis) -> Iterator[None]:
    with _settings(client, min_replicas_to_write="1"):
        yield


@contextmanager
def demoted(client: Redis) -> Iterator[None]:
    client.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        client.replicaof("NO", "ONE")


@contextmanager
def busy(client: Redis) -> Iterator[None]:
    """A script of somebody else's that runs and runs."""

    def run() -> None:
        url = f"redis://{servers.login(servers.ADMIN)}{where['host']}:{where['port']}/0"
        with connect(url, 20.0) as other, pytest.raises(ResponseError):
            other.eval("while true do end", 0)

    where = client.connection_pool.connection_kwargs
    with _settings(client, lua_time_limit="10"):
        runner = threading.Thread(target=run)
        runner.start()
        try:
            while not _is_busy(client):
                pass
            yield
        finally:
            client.script_kill()
            runner.join()
            while _is_busy(client):
                pass


def _is_busy(client: Redis) -> bool:
    try:
        client.ping()
    except RedisError:
        return True
    return False


@pytest.mark.parametrize("request_", WRITES, ids=_name)
@pytest.mark.parametrize("fault", [demoted, too_few_replicas, busy])
def test_a_redis_that_refuses_to_write_is_503_and_nothing_is_half_done(
    api: TestClient, client: Redis, fault: Callable[[Redis], Iterator[None]], request_: Asked
) -> None:
    api.simulate_post(CALLS, body=BODY)
    before = everything(client)
    with fault(client):
        check_unavailable(ask(api, request_))
    is_back(api)
    assert everything(client) == before
    assert api.simulate_delete(CALL).json == {"value": "v"}
    check_hand_over(api)


@pytest.mark.parametrize(
    ("fault", "code"), [(demoted, "READONLY"), (too_few_replicas, "NOREPLICAS"), (busy, "BUSY"), (full, "OOM")]
)
def test_the_log_says_why_redis_refuses_and_the_client_that_it_does(
    api: TestClient,
    client: Redis,
    caplog: pytest.LogCaptureFixture,
    fault: Callable[[Redis], Iterator[None]],
    code: str,
) -> None:
    with fault(client):
        answer = ask(api, WRITES[0])
    check_unavailable(answer)
    assert answer.json["detail"] == RedisRefuses.says
    assert REFUSALS[code] in caplog.text


def test_who_asks_whether_it_is_ready_is_told_what_is_wrong(api: TestClient, client: Redis, proxy: Proxy) -> None:
    with busy(client):
        assert api.simulate_get("/readyz").json["detail"] == REFUSALS["BUSY"] + "."
    is_back(api)
    proxy.drop_replies()
    assert api.simulate_post(CALLS, body=BODY).json["detail"] == RedisUnavailable.says
    assert api.simulate_get("/readyz").json["detail"].startswith("Redis is away: ")


def test_a_full_redis_leases_nothing_and_still_hands_over(api: TestClient, client: Redis) -> None:
    api.simulate_post(CALLS, body=BODY)
    before = everything(client)
    with full(client):
        check_unavailable(api.simulate_post(CALLS, body=BODY.replace("1234567890", "42")))
        check_unavailable(api.simulate_put(CALL, body='{"value": "new"}'))
        assert everything(client) == before
        assert api.simulate_get(CALL).json == {"value": "v"}
        assert api.simulate_delete(CALL).json == {"value": "v"}
    check_hand_over(api)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("numbers", WRITES),
        ("stats", WRITES),
        ("shared", WRITES[1:]),
        ("leaving", WRITES[1:2]),
        ("pending", WRITES),
        ("unclaimed", WRITES[2:]),
        ("callers:5551234560", WRITES[1:]),
        ("call:5551234560:1234567890", WRITES[1:]),
    ],
)
def test_a_key_of_a_wrong_type_is_503_and_nothing_is_half_done(
    api: TestClient, client: Redis, name: str, asked: list[Asked]
) -> None:
    api.simulate_post(CALLS, body=BODY)
    key = f"cti:{{system-y}}:{name}"
    client.delete(key)
    client.set(key, "poison", px=60_000)
    before = everything(client)
    for request_ in asked:
        check_unavailable(ask(api, request_))
    assert everything(client) == before


def test_a_demoted_primary_is_noticed_and_its_connections_dropped(api: TestClient, client: Redis, proxy: Proxy) -> None:
    api.simulate_post(CALLS, body=BODY)
    ours = {entry["id"] for entry in client.client_list()}
    with demoted(client):
        check_unavailable(api.simulate_delete(CALL))
    is_back(api)
    assert api.simulate_delete(CALL).json == {"value": "v"}
    assert {entry["id"] for entry in client.client_list()} - ours


@pytest.mark.parametrize("request_", [*REQUESTS[:2], REQUESTS[-1]], ids=_name)
@pytest.mark.parametrize("fault", [Proxy.cut, Proxy.drop_replies, None], ids=["away", "silent", "demoted"])
def test_no_request_leaves_a_circle(
    api: TestClient, client: Redis, proxy: Proxy, fault: Callable[[Proxy], None] | None, request_: Asked
) -> None:
    with ExitStack() as stack:
        if fault:
            fault(proxy)
        else:
            stack.enter_context(demoted(client))
        assert not in_circles(lambda: ask(api, request_))
    proxy.restore()
    is_back(api)
