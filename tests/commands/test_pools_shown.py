"""``cticache pools``: for people, on a terminal, and for a monitoring system."""

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis

from cticache.data.store import Store
from cticache.errors import PoolExhausted
from cticache.numbering.pool import Pool
from kit import forked, servers
from kit.aging import age, minutes_pass
from kit.samples import at

Run = Callable[..., tuple[int, str, str]]
MakePool = Callable[..., Pool]
POOLS = "[pool:support]\nnumbers = 100-104\n[pool:sales]\nnumbers = 200-209\n[pool:not-there]\nnumbers = 9\n"
AWAY = "redis://127.0.0.1:{}/0"


@pytest.fixture
def full(store: Store, new_pool: MakePool) -> Pool:
    """Of two pools the first: all of its five numbers are leased; of the other's ten, four are and one rests."""
    support, sales = new_pool("100-104", name="support"), new_pool("200-209", name="sales")
    for ani in "12345":
        store.lease(support, ani, ani, "x", 60_000)
        store.lease(sales, ani, ani, "x", 60_000)
    store.take(at(sales, "200"), "1", "y")
    return support


def test_each_pool_is_a_line_that_says_how_full_it_is_in_80_columns(full: Pool, run: Run) -> None:
    code, out, err = run(POOLS, "pools")
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[:2] == ["last 10 min", "pool used free cool shared next lease take miss ref"]
    assert lines[2].startswith(
        "support 100 % [\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588] FULL 0 0 0 6"
    )
    assert lines[3] == "sales 50 % [\u2588\u2588\u2588\u2588\u2588\u2591\u2591\u2591\u2591\u2591] ok 5 1 0 now - - - -"
    assert lines[4].startswith("not-there - % [\u2591\u2591\u2591\u2591")
    assert lines[4].endswith("] none 0 0 0 never - - - -")
    assert len(lines) == 5
    assert len({len(line) for line in out.splitlines()}) == 1
    assert len(out.splitlines()[0]) <= 80


def test_the_words_are_those_of_the_page_and_the_log(full: Pool, run: Run) -> None:
    watched = POOLS + "[watch]\nwarn = 40\ncrit = 51\n"
    assert run(watched, "pools")[1].splitlines()[3].split()[4] == "WARN"
    assert run(watched.replace("51", "50"), "pools")[1].splitlines()[3].split()[4] == "CRIT"


def test_a_long_name_is_cut_in_its_middle_unless_lines_may_be_long(new_pool: MakePool, run: Run) -> None:
    name = "north-western-region-contact-centre-of-the-second-floor-1"
    new_pool("100", name=name)
    pool = f"[pool:{name}]\nnumbers = 100\n"
    *_, line = run(pool, "pools")[1].splitlines()
    assert len(line) == 80
    assert line.startswith("north-w")
    assert "floor-1 " in line
    assert name in run(pool, "pools", "--wide")[1]


def test_what_was_done_is_told_of_pools_that_are_named_and_where_it_is_asked_for(
    client: Redis, store: Store, new_pool: MakePool, run: Run
) -> None:
    pool = new_pool("100-101", max_callers=2, cooldown_ms=0)
    for ani in ("1", "2", "3", "4"):
        store.lease(pool, ani, ani, "x", 60_000)
    with pytest.raises(PoolExhausted):
        store.lease(pool, "5", "5", "x", 60_000)
    age(client, 6_500)
    for dnis in pool.numbers:
        store.take(at(pool, dnis), "1", "y") or store.take(at(pool, dnis), "2", "y")
    store.lease(pool, "6", "6", "x", 60_000, key="k")
    store.lease(pool, "6", "6", "x", 60_000, key="k")
    age(client, 60_000)
    configured = "[pool:system-y]\nnumbers = 100-101\n"
    out = run(configured, "pools", "system-y")[1]
    assert out == run(configured, "pools", "--counters")[1]
    assert max(map(len, out.splitlines())) <= 80
    text = " ".join(out.split())
    for said in (
        "numbers 2, leased now 0, leaving 0, most leased at once 2,",
        "leased 5, shared 3, on the fallback 0,",
        "refused for want of a number 1, refused by max_live 0,",
        "taken 2,",
        "answered again 1,",
        "found exact 2, found suffix 0, found sole 0, found by uui 0, ambiguous 0,",
        "never asked for 3",
        "from lease to take: 50% within 7 s, 99% within 7 s",
    ):
        assert said in text
    assert len(run(configured, "pools")[1].splitlines()) == 3


def test_it_is_told_until_when_calls_on_leaving_numbers_may_be_asked_for(
    client: Redis, store: Store, new_pool: MakePool, run: Run
) -> None:
    store.lease(new_pool("100-101"), "1", "1", "x", 60_000)
    new_pool("101-102")
    configured = "[pool:system-y]\nnumbers = 101-102\n"
    (told,) = json.loads(run(configured, "pools", "system-y", "--json")[1])["pools"]
    until = datetime.fromtimestamp(told["leaving_until_ms"] // 1000, UTC)
    text = " ".join(run(configured, "pools", "system-y")[1].split())
    assert f"leaving 1 until {until:%Y-%m-%d %H:%M:%SZ}, most leased" in text


def test_what_was_done_in_the_last_ten_minutes_stands_beside_the_fill(
    client: Redis, store: Store, new_pool: MakePool, run: Run
) -> None:
    pool = new_pool("100-102", exhausted="reject")
    configured = "[pool:system-y]\nnumbers = 100-102\n"

    def shown() -> list[str]:
        return run(configured, "pools")[1].splitlines()[-1].split()[-4:]

    store.lease(pool, "1", "1", "x", 60_000)
    store.pool_minute([pool])
    assert shown() == ["-"] * 4, "what was done in the minutes before is not known"
    minutes_pass(client, 5)
    taken = store.lease(pool, "2", "2", "x", 60_000)
    store.lease(pool, "3", "3", "x", 60_000)
    for refused in "45":
        with pytest.raises(PoolExhausted):
            store.lease(pool, refused, refused, "x", 60_000)
    assert store.take(at(pool, taken.dnis), "2", "y")
    assert store.take(at(pool, taken.dnis), "9", "z") is None
    assert shown() == ["2", "1", "1", "2"]
    (row,) = json.loads(run(configured, "pools", "--json")[1])["pools"]
    done = row["last_10_minutes"]
    assert 300 <= done.pop("seconds") < 301
    assert done == {"leased": 2, "taken": 1, "missed": 1, "refused": 2}


def test_what_was_done_since_redis_came_back_empty_is_shown_and_not_0(
    client: Redis, store: Store, new_pool: MakePool, run: Run
) -> None:
    pool = new_pool("100", exhausted="reject")
    configured = "[pool:system-y]\nnumbers = 100\n"
    store.pool_beat([(pool, None, None)])
    store.lease(pool, "1", "1", "x", 60_000)
    for refused in "234":
        with pytest.raises(PoolExhausted):
            store.lease(pool, refused, refused, "x", 60_000)
    store.pool_minute([pool])  # by now three have been refused
    assert run(configured, "pools")[1].splitlines()[-1].split()[-4:] == ["1", "0", "0", "3"]
    client.hdel("cti:{system-y}:beat", "born_ms")
    assert run(configured, "pools")[1].splitlines()[-1].split()[-4:] == ["-"] * 4


def test_a_document_has_the_fields_of_the_url_and_the_named_pools_alone(full: Pool, store: Store, run: Run) -> None:
    told = json.loads(run(POOLS, "pools", "--json", "support")[1])
    figures = store.pool_stats([full])[0].figures()
    (row,) = told["pools"]
    assert row.keys() == {"pool", *figures, "last_10_minutes"}
    assert row["last_10_minutes"] is None
    assert (row["pool"], row["size"], row["leased"], row["leased_total"]) == ("support", 5, 5, 5)


def test_a_pool_that_is_not_there_is_a_mistake(run: Run) -> None:
    code, out, err = run(POOLS, "pools", "suport")
    assert (code, out) == (2, "")
    assert err == "cticache: there is no pool suport in config.ini: there are not-there, sales, support\n"


@pytest.mark.parametrize(
    ("options", "code", "line"),
    [
        (["--warn", "75", "--crit", "90"], 2, "support=100%;75;90;0;100 sales=50%;75;90;0;100"),
        (["--warn", "100"], 1, "support=100%;100;;0;100 sales=50%;100;;0;100"),
        (["sales", "--warn", "51", "--crit", "90"], 0, "sales=50%;51;90;0;100"),
        (["sales", "--warn", "50", "--crit", "51"], 1, "sales=50%;50;51;0;100"),
        (["sales", "--crit", "50"], 2, "sales=50%;;50;0;100"),
        (["support", "not-there", "--crit", "90"], 2, "support=100%;;90;0;100 not-there=U;;90;0;100"),
        (["not-there", "sales", "--crit=60"], 3, "sales=50%;;60;0;100 not-there=U;;60;0;100"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_a_monitoring_system_gets_one_line_and_the_exit_codes_of_its_plugins(
    options: list[str], code: int, line: str, full: Pool, run: Run
) -> None:
    configured = POOLS if "not-there" in options else POOLS.partition("[pool:not-there]")[0]
    ended, out, err = run(configured, "pools", *options)
    text, bar, figures = out.partition(" | ")
    assert (ended, bar, figures, err) == (code, " | ", line + "\n", "")
    assert text.startswith(f"CTICACHE {['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'][code]} - ")
    document = json.loads(run(configured, "pools", "--json", *options)[1])
    assert document["state"] == ["OK", "WARNING", "CRITICAL", "UNKNOWN"][code]
    assert all(0 <= row["used_percent"] <= 100 for row in document["pools"] if row["size"])


def test_the_line_says_what_is_wrong_and_else_which_pool_is_fullest(full: Pool, run: Run) -> None:
    two = POOLS.partition("[pool:not-there]")[0]
    bad = run(two, "pools", "--warn", "50", "--crit", "90")[1]
    assert bad.startswith("CTICACHE CRITICAL - support 100 % (0 of 5 free, next in 6")
    assert "; sales 50 % (5 of 10 free) | " in bad
    well = run(two, "pools", "sales", "--warn", "60")[1]
    assert well.startswith("CTICACHE OK - 1 pool, fullest sales 50 % (5 of 10 free) | ")
    assert "not-there has no numbers in Redis" in run(POOLS, "pools", "not-there", "--warn", "60")[1]


def test_a_pool_whose_numbers_all_drain_is_no_reason_to_call_somebody(full: Pool, run: Run) -> None:
    drained = "[pool:sales]\nnumbers = 200-209\n[pool:gone]\nnumbers = 7\ndraining = 7\n"
    code, out, _ = run(drained, "pools", "--warn", "75", "--crit", "90")
    assert (code, "gone" in out) == (0, False)


@pytest.mark.parametrize(
    ("options", "piece"),
    [
        (["--crit", "90"], "Redis is away"),
        (["--crit", "x"], "argument --crit: 'x' must be a whole number of percent, 1 to 100"),
        (["--warn", "101"], "'101' must be a whole number of percent, 1 to 100"),
        (["--warn=75", "--critical", "90"], "--critical"),
        (["--warn", "91", "--crit", "90"], "--warn 91 is above --crit 90"),
        (["--warn", "75", "--watch"], "--watch is for people"),
        (["--warn", "75", "suport"], "there is no pool suport"),
        (["--warn", "75", "--config", "none.ini"], "there is no "),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_what_a_monitoring_system_cannot_be_told_is_unknown(options: list[str], piece: str, run: Run) -> None:
    url = AWAY.format(servers.free_port())
    code, out, err = run(POOLS, "pools", *options, url=url)
    assert (code, err) == (3, "")
    (line,) = out.splitlines()
    assert line.startswith("CTICACHE UNKNOWN - ")
    assert piece in line
    assert "|" not in line
    code, out, err = run(POOLS, "pools", "--json", *options, url=url)
    assert (code, out) == (3, "")
    assert piece in json.loads(err)["detail"]


@pytest.mark.parametrize("seconds", ["0", "0.01", "3601", "support", "1e3"])
def test_what_is_no_number_of_seconds_is_a_mistake(seconds: str, run: Run) -> None:
    code, out, err = run(POOLS, "pools", "--watch", seconds)
    assert (code, out) == (2, "")
    assert f"argument --watch: {seconds!r} must be a number of seconds, 0.1 to 3600" in err


@pytest.fixture
def three_looks(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """Ends a watch at its third pause; what is put into this list is done in the pauses before."""
    meanwhile: list[Callable[[], object]] = []
    pauses = iter(range(3))

    def pause(_seconds: float) -> None:
        if next(pauses) == 2:
            raise SystemExit(0)
        if meanwhile:
            meanwhile.pop(0)()

    monkeypatch.setattr("cticache.commands.pools.sleep", pause)
    return meanwhile


def test_a_watch_that_goes_into_a_file_is_a_block_each_time(
    full: Pool, store: Store, run: Run, three_looks: list[Callable[[], object]], capsys: pytest.CaptureFixture[str]
) -> None:
    three_looks.append(lambda: store.take(at(full, "100"), "1", "y"))
    with pytest.raises(SystemExit):
        run(POOLS, "pools", "--watch", "1")
    blocks = capsys.readouterr().out.split("\n\n")
    assert [block.splitlines()[2].split()[:2] for block in blocks[:3]] == [["pool", "used"]] * 3
    assert all("every 1 s, Ctrl+C ends" in block for block in blocks[:3])
    assert [block.partition("FULL")[2].split()[1] for block in blocks[:3]] == ["0", "1", "1"], "cooling"
    assert "\x1b" not in "".join(blocks)


def test_a_watch_outlives_a_redis_that_is_away_for_a_while(
    full: Pool, run: Run, three_looks: list[Callable[[], object]], capsys: pytest.CaptureFixture[str]
) -> None:
    with servers.program(servers.packaged()) as other:
        three_looks += [lambda: (other.process.kill(), other.process.wait()), lambda: None]
        with pytest.raises(SystemExit):
            run(POOLS, "pools", "--watch", "--json", url=other.url)
    looks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(look)[1] for look in looks] == ["pools", "error", "error"]
    assert looks[1]["error"] == "redis_unavailable"


def test_a_watch_waits_for_a_redis_that_is_away_at_its_start(
    run: Run, three_looks: list[Callable[[], object]], capsys: pytest.CaptureFixture[str]
) -> None:
    port = servers.free_port()
    with ExitStack() as stack:
        three_looks.append(lambda: stack.enter_context(servers.program(servers.packaged(), port=port)))
        with pytest.raises(SystemExit):
            run(POOLS, "pools", "--watch", "--json", url=f"redis://{servers.login()}127.0.0.1:{port}/0")
    looks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(look)[1] for look in looks] == ["error", "pools", "pools"]


@pytest.mark.skipif(sys.platform == "win32", reason="a console there has no other end")
def test_on_a_terminal_a_watch_draws_over_itself_until_ctrl_c_which_is_no_failure(
    full: Pool, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pty

    (tmp_path / "config.ini").write_text(f"[redis]\nurl = {redis_url}\n{POOLS}")
    monkeypatch.setenv("TERM", "xterm")
    ours, terminal = pty.openpty()
    arguments = ["pools", "--watch", "0.1", "--config", str(tmp_path / "config.ini")]
    watching = forked.Forked(arguments, (terminal, terminal, terminal), os.environ)
    os.close(terminal)
    said = b""
    while said.count(b"\x1b[H") < 3:
        said += os.read(ours, 4096)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 0
    os.close(ours)
    assert said.count(b"\x1b[2J") == 1
    assert b"support" in said.split(b"\x1b[H")[2]
