"""How a client may show who it is, and from where it may come."""

import threading
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import pytest
from falcon.testing import TestClient
from redis import Redis

from cticache.access import passwords
from cticache.access.networks import Networks
from cticache.access.passwords import Verifier, hashed
from cticache.access.users import ROLES, User, token_digest
from cticache.data.store import Store
from cticache.loop.stand_ins import StandIns
from cticache.operate.new_user import MOST_BYTES
from cticache.web.app import create_app
from cticache.web.audit import Audit
from kit.running import MAX_BODY, Service, Wire, until
from kit.samples import PASSWORD, USERS, basic, user
from kit.talk import Talk

POOLS = "/cticache/pools"
TOKEN, OTHER = "1f" * 32, "2e" * 32
NEXT = "the-next-password"
MACHINE = User(
    "machine", roles=frozenset(ROLES), pools=None, token=frozenset({token_digest(TOKEN), token_digest(OTHER)})
)
TURNING = User("turning", hashed(PASSWORD), None, frozenset(ROLES), password_next=hashed(NEXT))
OFFICE = User("office", hashed(PASSWORD), None, frozenset(ROLES), networks=Networks.parse("10.0.0.0/8, 2001:db8::/32"))


def served(service: Service, *users: User, proxies: str = "", **limits: Any) -> TestClient:
    verifier = Verifier(users, 60, 1000, **limits)
    networks = Networks.parse(proxies)
    return TestClient(
        create_app(
            service.store,
            service.pools,
            verifier,
            service.keeper,
            audit=Audit(),
            max_body=MAX_BODY,
            proxies=networks,
        )
    )


def asked(api: TestClient, authorization: str, address: str = "127.0.0.1", **headers: str) -> Any:
    headers = {name.replace("_", "-"): text for name, text in headers.items()}
    return api.simulate_get(POOLS, headers=headers | {"Authorization": authorization}, remote_addr=address)


@pytest.mark.parametrize("token", [TOKEN, OTHER], ids=["one", "other"])
@pytest.mark.parametrize(
    "sent", ["Bearer {}", "bearer {}", "BEARER   {} ", "basic"], ids=["", "lower case", "blanks", "as a password"]
)
def test_a_token_is_its_user(service: Service, token: str, sent: str) -> None:
    api = served(service, MACHINE)
    answer = asked(api, basic("machine", token) if sent == "basic" else sent.format(token))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        pytest.param(f"Bearer {'0' * 64}", "no user's", id="of nobody"),
        pytest.param(f"Bearer {token_digest(TOKEN)}", "no user's", id="what is kept of it"),
        pytest.param(f"Bearer {TOKEN.upper()}", "no user's", id="in other case"),
        pytest.param(f"Bearer {PASSWORD}", "is not one", id="a colon"),
        pytest.param("Bearer", "is not one", id="nothing"),
        pytest.param(f"Bearer {TOKEN} {TOKEN}", "is not one", id="two"),
        pytest.param("Bearer \xe4", "is not one", id="not ASCII"),
        pytest.param(basic("bob", TOKEN), "wrong", id="as another's password"),
        pytest.param(basic("machine", ""), "wrong", id="no password"),
        pytest.param(basic("machine", PASSWORD), "wrong", id="a password where there is none"),
        pytest.param(f"Digest {TOKEN}", "understood", id="another scheme"),
        pytest.param(f"Basic {TOKEN}", "", id="as Basic without a name"),
    ],
)
def test_what_is_no_users_token_is_401(service: Service, sent: str, told: str) -> None:
    answer = asked(served(service, MACHINE, user("bob")), sent)
    assert (answer.status_code, answer.json["error"]) == (401, "unauthorized")
    assert told in answer.json["detail"]
    assert TOKEN not in answer.text


def test_basic_is_offered_first_in_the_realm_cticache(service: Service) -> None:
    api = served(service, MACHINE)
    offered = 'Basic realm="cticache", charset="UTF-8", Bearer realm="cticache"'
    assert api.simulate_get(POOLS).headers["www-authenticate"] == offered
    assert asked(api, basic("machine", "wrong")).headers["www-authenticate"] == offered
    assert asked(api, "Bearer wrong").headers["www-authenticate"] == f'{offered}, error="invalid_token"'


def test_both_passwords_are_right_while_one_takes_the_others_place(service: Service) -> None:
    api = served(service, TURNING)
    assert [asked(api, basic("turning", each)).status_code for each in (PASSWORD, NEXT, "x")] == [200, 200, 401]


@pytest.mark.parametrize(
    ("peer", "header", "address"),
    [
        ("10.1.2.3", "", ""),
        ("::ffff:10.1.2.3", "", ""),
        ("2001:db8::7", "", ""),
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "10.1.2.3", "203.0.113.9"),
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "10.1.2.3", ""),
        ("192.0.2.1", "10.1.2.3, 203.0.113.9", "203.0.113.9"),
        ("192.0.2.1", "10.1.2.3, nonsense", "192.0.2.1"),
        ("", "", "an unknown address"),
    ],
)
def test_a_user_of_some_networks_comes_from_there_alone(service: Service, peer: str, header: str, address: str) -> None:
    api = served(service, OFFICE, user("bob"), proxies="192.0.2.1")
    answer = asked(api, basic("office"), peer, X_Forwarded_For=header)
    if not address:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json["error"]) == (403, "wrong_network")
        assert f"User office may not come from {address}:" in answer.json["detail"]
    assert asked(api, basic("bob"), peer, X_Forwarded_For=header).status_code == 200
    wrong = asked(api, basic("office", "wrong"), peer, X_Forwarded_For=header)
    assert (wrong.status_code, wrong.json["error"]) == (401, "unauthorized")  # whether there is such a user is not told


def test_a_token_from_elsewhere_is_403_too(service: Service) -> None:
    machine = User("machine", token=MACHINE.token, networks=OFFICE.networks)
    assert asked(served(service, machine), f"Bearer {TOKEN}", "203.0.113.9").json["error"] == "wrong_network"


def test_wrong_passwords_are_counted_for_all_processes_and_shown(service: Service, store: Store) -> None:
    one = served(service, *USERS, report=store.login_failed)
    other = served(service, *USERS, report=store.login_failed)
    for api in (one, other):
        for name in ("username", "nobody", "no-one", "x-only"):
            for _ in range(2):  # the second is known to be wrong
                assert asked(api, basic(name, "wrong"), "203.0.113.9").status_code == 401
        assert asked(api, basic("username")).status_code == 200
    until(lambda: sum(store.login_failures().by_user.values()) == 16)
    scraped = one.simulate_get("/metrics", headers={"Authorization": basic("username")}).text
    assert [line for line in scraped.splitlines() if line.startswith("cticache_failed_login")] == [
        'cticache_failed_logins_total{user="@unknown"} 8.0',
        'cticache_failed_logins_total{user="username"} 4.0',
        'cticache_failed_logins_total{user="x-only"} 4.0',
        "cticache_failed_login_addresses 1.0",
    ]


def test_who_watches_some_pools_is_not_told_of_all_users(service: Service, store: Store) -> None:
    store.login_failed("username", "203.0.113.9")
    api = served(service, *USERS)
    scraped = api.simulate_get("/metrics", headers={"Authorization": basic("other-pool")}).text
    assert "cticache_failed_logins_total{" not in scraped
    assert "cticache_failed_login_addresses 1.0" in scraped  # which names nobody


def test_what_one_process_has_seen_another_learns_with_its_first(service: Service, store: Store) -> None:
    for _ in range(10):
        store.login_failed("bob", "203.0.113.9")
    verifier = Verifier([user("bob")], 60, 1000, report=store.login_failed)
    assert not verifier.user("bob", "wrong", lambda: "198.51.100.1")
    until(lambda: verifier._failures.are_many("bob", "192.0.2.7"))


def test_no_key_is_made_for_a_name_that_is_no_users(service: Service, store: Store, client: Redis) -> None:
    before = set(client.keys())
    api = served(service, *USERS, report=store.login_failed)
    for n in range(5):
        asked(api, basic(f"nobody-{n}", "wrong"))
    until(lambda: store.login_failures().by_user == {"@unknown": 5})
    made = [key.rpartition(":")[0] if "minute" in key else key for key in set(client.keys()) - before]
    assert set(made) == {"cti:{@logins}:failed", "cti:{@logins}:minute"}


@pytest.mark.parametrize("dispatch", ["batch", "threads"])
def test_the_longest_name_and_password_fit_into_a_header(service: Service, store: Store, dispatch: str) -> None:
    """In a line of the 8 KB that proxies take, too."""
    name, password = "n" * 64, "\u00e4" * (MOST_BYTES // 2)
    verifier = Verifier([User(name, hashed(password), None, frozenset(ROLES))], 60, 1000)
    service.app = create_app(service.store, service.pools, verifier, service.keeper, audit=Audit(), max_body=MAX_BODY)
    line = f"Authorization: {basic(name, password)}"
    assert len(line) < 8192
    wire = Wire(service, dispatch)
    with closing(Talk(wire.port)) as talk:
        assert talk.send(f"GET {POOLS} HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode()).answer().status == 200
    wire.stop()


class Slow:
    """The service under so many threads, whose hashes of wrong passwords, and of ``held`` ones, wait until they may."""

    def __init__(self, service: Service, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
        self.may = threading.Event()
        self.held = False
        monkeypatch.setattr(passwords, "_matches", self._matches)
        wires: list[Wire] = []

        def wait(future: "Future[bool]", seconds: float) -> None:
            dispatcher = wires[0].dispatcher
            assert isinstance(dispatcher, StandIns)
            dispatcher.wait(future, seconds)

        self.verifier = Verifier(USERS, 60, 1000, wait=wait, room=100)
        service.app = create_app(
            service.store, service.pools, self.verifier, service.keeper, audit=Audit(), max_body=MAX_BODY
        )
        self.wire = Wire(service, "threads", threads=threads)
        wires.append(self.wire)
        self._talks: list[Talk] = []

    def _matches(self, _stored: str, password: str) -> bool:
        if self.held or password != PASSWORD:
            assert self.may.wait(20)
        return password == PASSWORD

    def ask(self, name: str, password: str = PASSWORD) -> Talk:
        talk = Talk(self.wire.port)
        self._talks.append(talk)
        credentials = basic(name, password)
        return talk.send(f"GET {POOLS} HTTP/1.1\r\nHost: x\r\nAuthorization: {credentials}\r\n\r\n".encode())

    def close(self) -> None:
        self.may.set()
        for talk in self._talks:
            talk.close()
        self.wire.stop()


@pytest.mark.parametrize("threads", [1, 4, 8])
def test_under_threads_wrong_passwords_of_one_name_hold_up_no_other(
    service: Service, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """Neither who is known nor a new login: who waits takes no thread from them, and half of the room at the most."""
    with closing(Slow(service, monkeypatch, threads)) as slow:
        assert slow.ask("username").answer().status == 200
        guesses = [slow.ask("username", str(n)) for n in range(70)]
        until(lambda: slow.verifier._room.taken == 50)
        until(lambda: len(slow.verifier._put_off) == 20)
        assert slow.ask("username").answer().status == 200
        assert slow.ask("x-only").answer().status == 403
        slow.may.set()
        assert sorted(guess.answer().status for guess in guesses) == [401] * 50 + [429] * 20


def test_under_threads_all_who_bring_the_same_new_credentials_wait_for_one_hash(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Slow(service, monkeypatch, 8)) as slow:
        slow.held = True
        logins = [slow.ask("username") for _ in range(20)]
        until(lambda: slow.verifier._room.taken == 20)
        slow.may.set()
        assert [login.answer().status for login in logins] == [200] * 20
