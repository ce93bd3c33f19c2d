"""``cticache demo``: what a newcomer sees."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from cticache.access.invented import Invented, ensured
from cticache.access.passwords import Verifier, hashed
from cticache.access.users import ROLES, User
from kit import running
from kit.running import Wire
from kit.samples import make_pool

Run = Callable[..., tuple[int, str, str]]
POOL = make_pool("5551234500-5551234539", exhausted="reject")
QUICK = ("--calls", "20", "--rate", "200")


@pytest.fixture
def dispatch() -> str:
    """One way to serve: how the service does it is tested elsewhere."""
    return "batch"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the service."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def invented(data: Path) -> Invented:
    return ensured(data)


@pytest.fixture(scope="module")
def verifier(invented: Invented) -> Verifier:
    """Of a service without a user."""
    user = User("username", hashed(invented.password), None, frozenset(ROLES))
    return Verifier([user], remember_s=3600, size=1000)


@pytest.fixture
def service(new_service: Callable[..., running.Service]) -> running.Service:
    return new_service(POOL)


@pytest.fixture
def demo(wire: Wire, data: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command beside the service, with more in the configuration."""
    monkeypatch.setattr("cticache.commands.demo.TRANSIT_S", 0)

    def demo(*arguments: str, more: str = "", port: int = wire.port, folder: Path = data) -> tuple[int, str, str]:
        ini = f"data = {folder}\n[server]\nport = {port}\n[pool:system-y]\nnumbers = 5551234500-5551234539\n"
        return run(ini + more, "demo", *arguments)

    return demo


def typed(text: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8")


USER = f"[user:username]\npassword = {hashed('another')}\n"


def test_a_newcomer_sees_what_was_handed_over_and_what_was_not_and_why(demo: Run, client: Redis) -> None:
    code, out, err = demo(*QUICK)
    assert (code, err) == (0, "")
    head, _, *table = out.splitlines()
    assert head.startswith("20 calls in ")
    assert head.endswith(", pool system-y")
    figures = {line[:34].strip(): line[34:].split() for line in table if line[34:].replace(" ", "").isdigit()}
    assert figures == {
        "calls": ["20"],
        "refused: no number was leased": ["0"],
        "lost on the way": ["2"],
        "found by the very ANI": ["14"],
        "found by its last digits": ["0"],
        "found alone on the number": ["0"],
        "not found": ["4"],
        "given another call's data": ["0"],
    }
    assert "not found, 2 calls: the ANI arrived with a +1 before it" in table
    assert "country_code = 1 or match = suffix would find it" in " ".join(out.split())
    assert "`cticache advise` says of the pool:" in table
    assert max(map(len, table)) <= 80
    assert not [*client.scan_iter("cti:*:call:*")]


def test_programs_are_given_one_document(demo: Run) -> None:
    code, out, err = demo(*QUICK, "--rewritten", "0", "--lost", "50", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["calls"], found["lost"], found["wrong"], found["refused"]) == (20, 10, 0, [])
    assert found["found"] == {"exact": 10, "suffix": 0, "sole": 0}
    for ms in found["ms"].values():
        assert 0 < ms["p50"] <= ms["p95"]


def test_calls_that_are_refused_a_number_are_told_by_the_exit_code(demo: Run, service: running.Service) -> None:
    for ani in range(40):
        service.store.lease(POOL, str(ani), '"x"', "ivr", 60_000)
    code, out, _ = demo("--calls", "1", "--pool", "system-y")
    assert code == 1
    assert "refused, 1 call: pool_exhausted" in out


def test_as_a_user_it_asks_first_and_takes_the_password_from_standard_input(
    demo: Run, invented: Invented, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("--user", "username", "--password-stdin", "--calls", "2", "--rate", "200")
    monkeypatch.setattr("sys.stdin", typed(invented.password))
    code, _, err = demo(*asked, more=USER)
    assert code == 2
    assert err.startswith(f"cticache: Lease numbers of the first pool at http://127.0.0.1:{wire.port} for 2 calls of ")
    monkeypatch.setattr("sys.stdin", typed(invented.password))
    assert demo(*asked, "--yes", more=USER)[0] == 0
    monkeypatch.setattr("sys.stdin", typed("wrong"))
    code, _, err = demo(*asked, "--yes", more=USER)
    assert code == 2
    assert f"http://127.0.0.1:{wire.port} does not know username by this password" in err


@pytest.mark.parametrize(
    ("arguments", "more", "told"),
    [
        ((), USER, "config.ini has users: say --user"),
        (("--url", "http://127.0.0.2:1"), "", "the invented password is that of a service on this machine"),
        (("--rewritten", "60", "--lost", "60"), "", "more than 100 percent together"),
        (("--calls", "0"), "", "'0' is not a whole number from 1 to "),
        (("--user", "username", "--yes"), "", "say --password-stdin"),
        (("--url", "http://127.0.0.1:1"), "", "nothing answers at http://127.0.0.1:1 ("),
    ],
)
def test_what_cannot_be_done_is_told(
    demo: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], more: str, told: str
) -> None:
    monkeypatch.setattr("sys.stdin", typed(""))
    code, out, err = demo(*arguments, more=more)
    assert (code, out) == (2, "")
    assert told in err


def test_without_an_invented_password_it_says_what_to_start(demo: Run, tmp_path: Path) -> None:
    code, _, err = demo(folder=tmp_path)
    assert code == 2
    assert "start `cticache serve` with config.ini first" in err
    (tmp_path / "password").write_text("0123", "utf-8")
    (tmp_path / "password").chmod(0o600)
    code, _, err = demo(folder=tmp_path)
    assert code == 2
    assert "there is no password in it as it was written; start `cticache serve` again" in err
