"""What the commands leases and release print and do."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from cticache import cli
from cticache.data.replies import Leased
from cticache.data.store import Store
from cticache.data.store.calls import MOST_RELEASED
from cticache.numbering.pool import Pool
from cticache.operate.leases import release_all
from cticache.web.audit import Audit
from kit.aging import age, everything, now_ms

MakePool = Callable[..., Pool]
Answer = Callable[..., None]
POOLS = "[pool:system-y]\nnumbers = 100-104\n"
TWO = POOLS + "[pool:other]\nnumbers = 200\n"
ANI = "2125550187"


class Run:
    """Runs a command against pools of the server under test."""

    def __init__(self, folder: Path, redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._config, self._url, self._capsys = folder / "config.ini", redis_url, capsys

    def __call__(self, pools: str, *arguments: str, code: int = 0) -> str:
        self._config.write_text(
            f"[server]\naudit_key = sixteen-letters-\n[redis]\nurl = {self._url}\n{pools}", encoding="utf-8"
        )
        assert cli.main([*arguments, "--config", str(self._config)]) == code
        out, err = self._capsys.readouterr()
        return out + err


@pytest.fixture
def run(redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(tmp_path, redis_url, capsys)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Has somebody at a terminal give this answer, once something else is done."""

    class Terminal(io.StringIO):
        meanwhile: Callable[[], object]

        def isatty(self) -> bool:
            return True

        def readline(self, _size: int | None = -1) -> str:
            self.meanwhile()
            return super().readline()

    def answer(text: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        terminal = Terminal(text + "\n")
        terminal.meanwhile = meanwhile
        monkeypatch.setattr("sys.stdin", terminal)

    return answer


def test_leases_prints_a_line_for_each(client: Redis, store: Store, new_pool: MakePool, run: Run) -> None:
    pool, other = new_pool("100-104"), new_pool("200", name="other")
    token = store.lease(pool, ANI, "secret", "ivr", 60_000).token
    age(client, 10_000)
    store.lease(pool, "2", "secret", "bot", 60_000)
    store.lease(other, "", "secret", "bot", 60_000)
    first, second, third = run(TWO, "leases").splitlines()
    digest = Audit("sixteen-letters-").digest(ANI)
    assert first.startswith(f"system-y 100: …187 (10 digits, digest {digest}), leased by ivr 1")
    assert first.endswith(f"s, not asked for, token {token}")
    assert "leased by bot 0 s ago" in second
    assert third.startswith("other 200: withheld (0 digits")
    assert ANI not in first
    assert "secret" not in first + second + third
    assert run(TWO, "leases", "--pool", "system-y", "--older", "9").splitlines()[0].startswith("system-y 100")
    assert run(TWO, "leases", "--user", "bot", "--dnis", "200").count("\n") == 1
    assert run(TWO, "leases", "--user", "nobody") == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("leases", "--pool", "none"), "--pool none: there is no such pool"),
        (("release", "--user", "ivr", "--yes"), "say --pool, of system-y, other"),
        (("release", "300", ANI, "--yes"), "300 is a number of no pool"),
        (("leases", "--pool", ""), "--pool: name one"),
        (("leases", "--user", ""), "--user: name one"),
        (("leases", "--dnis", ""), "--dnis: name one"),
        (("release", "--pool", "system-y", "--yes"), "say either --user USER, or DNIS ANI"),
        (("release", "100", ANI, "--user", "ivr", "--pool", "system-y", "--yes"), "say either --user"),
        (("release", "100", "--pool", "system-y", "--yes"), "say the ANI, too"),
        (("release", "100", "x1", "--pool", "system-y", "--yes"), "the ANI 'x1'"),
        (
            ("release", "100", "1", "--pool", "system-y", "--yes"),
            "nothing was ended on 100: no call with this very ANI",
        ),
        (("release", "100", ANI, "--pool", "system-y"), "say --yes to do it"),
    ],
)
def test_a_mistake_is_told_and_ends_nothing(
    client: Redis, store: Store, new_pool: MakePool, run: Run, *, arguments: tuple[str, ...], told: str
) -> None:
    store.lease(new_pool("100-104"), ANI, "1", "ivr", 60_000)
    before = everything(client)
    assert told in run(TWO, *arguments, code=2)
    assert everything(client) == before


def test_programs_get_json(store: Store, new_pool: MakePool, run: Run) -> None:
    token = store.lease(new_pool("100-104"), ANI, "secret", "ivr", 60_000).token
    (lease,) = json.loads(run(POOLS, "leases", "--json"))["leases"]
    assert (lease["token"], lease["ani"], lease["asked"]) == (token, "…187", False)
    assert json.loads(run(POOLS, "release", "100", ANI, "--yes", "--json")) == {"released": 1}
    assert json.loads(run(POOLS, "leases", "--json")) == {"leases": []}


def test_release_ends_one_call_or_all_of_a_user(store: Store, new_pool: MakePool, run: Run) -> None:
    pool = new_pool("100-104")
    for ani in (ANI, "2", "3"):
        store.lease(pool, ani, "1", "ivr", 60_000)
    assert run(POOLS, "release", "100", "(212) 555-0187", "--yes") == "released 1\n"
    assert "released by an operator" in run(POOLS, "release", "100", ANI, "--yes", code=2)
    assert run(POOLS, "release", "--user", "ivr", "--yes") == "released 2\n"
    told = run(POOLS, "release", "--user", "ivr", "--yes", code=2)
    assert "nothing was ended: user ivr holds no lease in pool system-y" in told


def test_of_several_pools_release_takes_the_one_that_has_the_number(store: Store, new_pool: MakePool, run: Run) -> None:
    store.lease(new_pool("200", name="other"), ANI, "1", "ivr", 60_000)
    assert run(TWO, "release", "+200", ANI, "--yes") == "released 1\n"


def test_where_a_number_has_moved_with_a_call_on_it_release_asks_for_the_pool(
    store: Store, new_pool: MakePool, run: Run
) -> None:
    store.lease(new_pool("100-104"), ANI, "1", "ivr", 60_000)
    new_pool("101-104")
    moved = "[pool:system-y]\nnumbers = 101-104\n[pool:other]\nnumbers = 100\n[pool:third]\nnumbers = 300\n"
    assert "say --pool, of system-y, other\n" in run(moved, "release", "100", ANI, "--yes", code=2)
    assert run(moved, "release", "100", ANI, "--pool", "system-y", "--yes") == "released 1\n"


def test_release_asks_at_a_terminal(store: Store, new_pool: MakePool, run: Run, answer: Answer) -> None:
    pool = new_pool("100-104")
    store.lease(pool, ANI, "1", "ivr", 60_000)
    for text in ("", "n", "maybe"):
        answer(text)
        told = run(POOLS, "release", "--user", "ivr", code=2)
        assert "End all leases of user ivr in pool system-y? " in told
        assert "nothing was ended" in told
    answer("y")
    assert run(POOLS, "release", "100", ANI).startswith("released 1\n")


def test_a_call_that_is_leased_anew_while_somebody_is_asked_stays(
    client: Redis, store: Store, new_pool: MakePool, run: Run, answer: Answer
) -> None:
    pool = new_pool("100")
    store.lease(pool, ANI, "1", "ivr", 60_000)
    anew: list[str] = []

    def meanwhile() -> None:
        age(client, 3_600_000)
        anew.append(store.lease(pool, ANI, "1", "ivr", 60_000).token)

    answer("y", meanwhile)
    assert "nothing was ended on 100" in run(POOLS, "release", "100", ANI, code=2)
    assert [lease.token for lease in store.pool_leases(pool).leases] == anew


def test_what_a_user_leases_after_the_answer_stays(
    client: Redis, store: Store, new_pool: MakePool, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = new_pool("100-104")
    store.lease(pool, "1", "1", "ivr", 60_000)
    anew: list[str] = []

    def released(*where: Any, until_ms: int) -> Any:
        while now_ms(client) <= until_ms:
            pass
        anew.append(store.lease(pool, "2", "1", "ivr", 60_000).token)
        return release_all(*where, until_ms=until_ms)

    monkeypatch.setattr("cticache.commands.release.release_all", released)
    assert run(POOLS, "release", "--user", "ivr", "--yes") == "released 1\n"
    assert [lease.token for lease in store.pool_leases(pool).leases] == anew


def test_what_a_user_leases_while_all_is_ended_stays(
    client: Redis, store: Store, new_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = new_pool("100-199")
    for ani in range(MOST_RELEASED + 1):
        store.lease(pool, str(ani), "1", "ivr", 60_000)
    ends, anew = store.release, []

    def ending(*what: Any) -> list[str | int]:
        until_ms = now_ms(client)
        while now_ms(client) <= until_ms:
            pass
        anew.append(store.lease(pool, f"9{len(anew)}", "1", "ivr", 60_000).token)
        return ends(*what)

    monkeypatch.setattr(store, "release", ending)
    ended: list[Leased] = []
    assert not release_all(store, pool, "ivr", ended)
    assert len(ended) == MOST_RELEASED + 1
    assert [lease.token for lease in store.pool_leases(pool).leases] == anew


@pytest.mark.parametrize("asked", [("--user", "ivr", "--yes"), ("100", "1", "--yes")])
def test_what_was_leased_before_the_clock_was_set_back_is_ended_too(
    client: Redis, store: Store, new_pool: MakePool, run: Run, asked: tuple[str, ...]
) -> None:
    pool = new_pool("100-104")
    store.lease(pool, "1", "1", "ivr", 60_000)
    age(client, -3_600_000)
    assert run(POOLS, "release", *asked).startswith("released 1")
    assert not store.pool_leases(pool).leases


def test_more_than_one_request_may_end_are_ended_by_the_command(store: Store, new_pool: MakePool, run: Run) -> None:
    pool = new_pool("1000-1999")
    for ani in range(450):
        store.lease(pool, str(ani), "1", "ivr", 60_000)
    assert run(POOLS, "release", "--user", "ivr", "--yes") == "released 450\n"
    assert not store.pool_leases(pool).leases
