"""What the commands advise and explain print."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from cticache import cli
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from cticache.web.audit import Audit
from kit.aging import age, an_hour_passes, everything
from kit.samples import at, make_pool

MakePool = Callable[..., Pool]
Print = Callable[..., list[str]]


@pytest.fixture
def run(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Print:
    """Runs a command against pools of the server under test: the lines that it prints."""

    def run(pools: str, *arguments: str, code: int = 0) -> list[str]:
        (tmp_path / "config.ini").write_text(
            f"[server]\naudit_key = sixteen-letters-\n[redis]\nurl = {redis_url}\n{pools}"
        )
        assert cli.main(arguments) == code
        out, err = capsys.readouterr()
        assert bool(err) == bool(code)
        return (out + err).splitlines()

    monkeypatch.chdir(tmp_path)
    return run


def test_advise_with_nothing_leased_says_so(new_pool: MakePool, run: Print) -> None:
    new_pool("100")
    (line,) = run("[pool:system-y]\nnumbers = 100\n", "advise")
    assert line.startswith("system-y: ")
    assert "eight days" in line


def test_advise_names_the_number_that_nobody_picks_up(
    client: Redis, store: Store, new_pool: MakePool, run: Print
) -> None:
    pool = new_pool("100-109", cooldown_ms=0, exhausted="reject")
    for tens in "1234":
        dnises = {f"{tens}{ani}": store.lease(pool, f"{tens}{ani}", "1", "x", 60_000).dnis for ani in range(10)}
        age(client, 3_000)
        for ani, dnis in dnises.items():
            if dnis != "105":
                store.take(at(pool, dnis), ani, "y")
        age(client, 60_000)
    text = " ".join(run("[pool:system-y]\nnumbers = 100-109\n", "advise"))
    assert "said from " in text
    assert "so far: 40 calls since " in text
    assert "look at 105: its last 4 leases were not picked up" in text
    an_hour_passes(client)
    text = " ".join(run("[pool:system-y]\nnumbers = 100-109\ncooldown = 0\nexhausted = reject\n", "advise"))
    assert re.search(r"look at 105: its last 4 leases were not picked up", text)
    assert "look at 104" not in text
    assert re.search(r"\b40 calls\b", text)


EXPLAINED = "[pool:system-y]\nnumbers = 5551234560-5551234562\nmatch = suffix\nmatch_digits = 7\ndnis_digits = 4\n"


def test_explain_tells_every_step_and_hides_what_is_others(
    client: Redis, store: Store, new_pool: MakePool, run: Print
) -> None:
    pool = new_pool(match="suffix")
    dnis = store.lease(pool, "2345678901", '"the value"', "ivr", 60_000).dnis
    text = "\n".join(run(EXPLAINED, "explain", dnis[-4:], "sip:+12345678901@host"))
    for said in (
        f"pool system-y, number {dnis}, match = suffix",
        "canonical: 12345678901",
        "live: \N{HORIZONTAL ELLIPSIS}901 (10 digits, digest ",
        "leased by ivr at ",
        "It is found by its last 7 digits",
    ):
        assert said in text
    assert "the value" not in text
    assert " 2345678901" not in text
    assert client.zscore("cti:{system-y}:pending", f"{dnis}:2345678901"), "a look is no claim"


def test_explain_prints_the_digest_of_the_audit_and_none_where_no_log_has_it(
    store: Store, new_pool: MakePool, run: Print, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = new_pool()
    dnis = store.lease(pool, "2345678901", "1", "ivr", 60_000).dnis
    pools = f"[pool:system-y]\nnumbers = {pool.numbers}\n"
    (shown,) = set(
        re.findall(r"digest(?: in the audit:)? ([0-9a-f]{16})", "".join(run(pools, "explain", dnis, "2345678901")))
    )
    assert shown == Audit("sixteen-letters-").digest("2345678901")
    for option, without in (("AUDIT", "no"), ("AUDIT_KEY", "")):
        with monkeypatch.context() as changed:
            changed.setenv(f"CTICACHE_SERVER_{option}", without)
            text = "".join(run(pools, "explain", dnis, "2345678901"))
        assert "live: \N{HORIZONTAL ELLIPSIS}901 (10 digits), leased by ivr" in text
        assert "digest" not in text


def test_explain_tells_that_an_ani_is_withheld_by_the_pools_list(store: Store, new_pool: MakePool, run: Print) -> None:
    dnis = store.lease(new_pool(), "", "1", "ivr", 60_000).dnis
    listed = EXPLAINED + "withheld = 0000000000, No Caller ID\n"
    for ani in ("0000000000", "No Caller ID"):
        text = "\n".join(run(listed, "explain", dnis, ani))
        assert "withheld, by the pool's own list: withheld" in text
        assert "It is found: a call under this very ANI is live." in text


def test_explain_tells_that_a_call_was_taken_and_that_there_is_none(
    store: Store, new_pool: MakePool, run: Print
) -> None:
    pool = new_pool(match="suffix")
    dnis = store.lease(pool, "2345678901", "1", "ivr", 60_000).dnis
    store.take(at(pool, dnis), "2345678901", "y")
    assert "410: it was taken, at 20" in run(EXPLAINED, "explain", dnis, "2345678901")[-1]
    assert "not found (404)" in run(EXPLAINED, "explain", dnis, "777")[-1]


def test_explain_knows_the_calls_on_a_number_that_left_its_pool(
    client: Redis, store: Store, new_pool: MakePool, run: Print
) -> None:
    old = new_pool("100", name="old")
    store.lease(old, "777", "1", "ivr", 60_000)
    sync(store, Pools([make_pool("200")]), take_over=True)
    before = everything(client)
    text = "\n".join(run("[pool:system-y]\nnumbers = 200\n", "explain", "100", "777"))
    assert "pool old, number 100" in text
    assert "It is found: a call under this very ANI is live." in text
    assert everything(client) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["9", "1"], "9 is a number of no pool"), (["5551234560", "alice"], "the ANI 'alice' must be a telephone number")],
)
def test_explain_of_what_cannot_be_is_a_mistake_told_in_one_line(
    arguments: list[str], said: str, new_pool: MakePool, run: Print
) -> None:
    new_pool()
    (line,) = run(EXPLAINED, "explain", *arguments, code=2)
    assert said in line
