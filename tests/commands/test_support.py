"""The file for whoever helps, and what is never in it."""

import json
import re
import stat
import sys
import threading
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from redis import Redis

from cticache import config
from cticache.access.passwords import hashed, invent_token
from cticache.access.users import token_digest
from cticache.commands import redacted
from cticache.data.store import Store
from cticache.journal.events import Event
from cticache.numbering.pool import Pool
from kit import servers
from kit.aging import age, an_hour_passes
from kit.samples import at

Run = Callable[..., tuple[int, str, str]]
FILES = {
    *("about.txt", "versions.json", "configuration.json", "environment.txt", "check.txt"),
    *("pools.json", "advise.txt", "redis.json", "readyz.json", "events.txt"),
}
HASH, NEXT_HASH, TOKEN = hashed("planted-password"), hashed("planted-next-password"), invent_token()
ANI, VALUE = "2345678901", "planted-value"
NUMBERS = ("5551234560", "5551234569", "5559998887", "5557776665", "266696687", "5553332221")
PLANTED = (HASH, NEXT_HASH, TOKEN, token_digest(TOKEN), "planted-", ANI, *NUMBERS)
CONFIGURATION = f"""
[server]
port = {{port}}
audit_key = planted-audit-key
[pool:support]
numbers = 5551234560-5551234569
draining = 5551234569
fallback = 5559998887
without_data = 5557776665
withheld = +266696687, No Caller ID
country_code = 1
[user:ivr]
password = {HASH}
password_next = {NEXT_HASH}
token = sha256:{token_digest(TOKEN)}
pools = support
networks = 10.0.0.0/24
"""


@pytest.fixture
def bundle(run: Run) -> Callable[..., dict[str, str]]:
    """What is in the file that the command writes: name -> text."""

    def bundle(configuration: str, *more: str, **at: str) -> dict[str, str]:
        Path("own.zip").unlink(missing_ok=True)
        code, out, err = run(configuration, "support", "--output", "own.zip", *more, **at)
        assert (code, err) == (0, "")
        assert out.startswith("own.zip has about.txt, ")
        with zipfile.ZipFile("own.zip") as packed:
            return {name: packed.read(name).decode() for name in packed.namelist()}

    return bundle


def _of(configuration: str = CONFIGURATION) -> str:
    return configuration.format(port=servers.free_port())


def _leaks(files: dict[str, str], *more: str) -> list[str]:
    return [f"{planted} in {name}" for name, text in files.items() for planted in (*PLANTED, *more) if planted in text]


def test_nothing_secret_and_nobodys_number_is_in_it(
    client: Redis,
    store: Store,
    new_pool: Callable[..., Pool],
    bundle: Callable[..., dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = new_pool("5551234560-5551234568", name="support", cooldown_ms=0, exhausted="reject")
    for tens in "1234":  # so that advise and pools have a number that nobody picks up
        dnises = {ani: store.lease(pool, f"{ANI}{tens}{ani}", "1", "x", 60_000).dnis for ani in range(9)}
        age(client, 3_000)
        for ani, dnis in dnises.items():
            if dnis != NUMBERS[0]:
                store.take(at(pool, dnis), f"{ANI}{tens}{ani}", "y")
        age(client, 60_000)
    an_hour_passes(client)
    store.lease(pool, ANI, json.dumps(VALUE), "ivr", 60_000)
    monkeypatch.setenv("CTICACHE_POOL_SUPPORT_FALLBACK", NUMBERS[5])
    monkeypatch.setenv("CTICACHE_SERVER_AUDIT_KEY", "planted-key-of-the-environment")
    files = bundle(_of())
    assert files.keys() == FILES
    assert _leaks(files) == []
    assert "unknown" not in files["pools.json"] + files["redis.json"] + files["configuration.json"]
    (figures,) = json.loads(files["pools.json"])["pools"]
    assert (figures["leased"], figures["missed"]) == (1, [["\N{HORIZONTAL ELLIPSIS}560", 4]])
    assert "look at \N{HORIZONTAL ELLIPSIS}560: its last 4 leases" in files["advise.txt"]
    assert files["environment.txt"].split() == ["CTICACHE_POOL_SUPPORT_FALLBACK", "CTICACHE_SERVER_AUDIT_KEY"]
    assert "environment: CTICACHE_POOL_SUPPORT_FALLBACK\n" in files["check.txt"]
    told = json.loads(files["configuration.json"])
    assert told["pool:support"]["numbers"] == {"numbers": 9, "ranges": 1}
    assert (told["pool:support"]["ttl"], told["pool:support"]["after_loss"]) == (300, "")
    assert told["pool:support"]["country_code"] == "1"
    assert told["pool:support"]["without_data"] == "\N{HORIZONTAL ELLIPSIS}665"
    assert told["user:ivr"]["password"] == told["server"]["audit_key"] == "***"
    assert told["user:ivr"]["networks"] == "10.0.0.0/24"
    assert told["redis"]["url"].startswith("redis://127.0.0.1:")
    assert "redis_version" in files["redis.json"]
    assert "cticache" in json.loads(files["versions.json"])
    assert "no service answers" in files["readyz.json"]


@pytest.mark.parametrize(
    "url",
    [
        "redis://planted-user:planted-word@127.0.0.1:{}/0",
        "redis://bob:planted%40word@127.0.0.1:{}/?db=0",
        "redis+sentinel://bob:planted-word@127.0.0.1:{}/main?sentinel_password=planted-other",
        "redis+cluster://bob:planted-word@127.0.0.1:{}",
    ],
    ids=["alone", "escaped", "sentinel", "cluster"],
)
def test_with_redis_away_it_says_so_and_gives_no_password_away(url: str, bundle: Callable[..., dict[str, str]]) -> None:
    files = bundle(_of(), url=url.format(servers.free_port()))
    assert files.keys() == FILES
    assert _leaks(files, "planted@word", "planted%40word") == []
    for name in ("pools.json", "advise.txt", "redis.json", "events.txt"):
        assert "Redis is away" in files[name], name
    assert "pool support: 9 numbers, 1 draining" in files["check.txt"]
    assert "Redis is away" in files["check.txt"]


def test_the_configuration_has_the_names_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "own.ini"
    file.write_text(_of(), "utf-8")
    known = (Path(__file__).parents[2] / "config.ini").read_text("utf-8")
    told = redacted.described(config.read(file, {}))
    assert [option for section in told.values() for option in section if f"{option} = " not in known] == []


def test_the_configuration_has_no_secret_even_before_they_are_taken_out(tmp_path: Path) -> None:
    file = tmp_path / "own.ini"
    file.write_text(f"[redis]\nurl = redis://bob:planted-word@h/0\n{_of()}", "utf-8")
    assert _leaks({"configuration": json.dumps(redacted.described(config.read(file, {})))}) == []


def test_a_secret_that_somebody_else_quotes_is_taken_out(
    bundle: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cticache.commands.support._ready", lambda _settings: {"body": f"planted-audit-key {HASH}"})
    assert json.loads(bundle(_of())["readyz.json"]) == {"body": "*** ***"}


def test_what_the_service_says_of_its_state_is_in_it(bundle: Callable[..., dict[str, str]]) -> None:
    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"path": self.path, "detail": f"{NUMBERS[0]} is lent"}).encode()
            self.send_response(503)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002 - as there
            pass

    with HTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.handle_request).start()
        told = json.loads(bundle(CONFIGURATION.format(port=server.server_port))["readyz.json"])
    assert told["status"] == 503
    assert json.loads(told["body"]) == {"path": "/readyz", "detail": "\N{HORIZONTAL ELLIPSIS}560 is lent"}


def test_a_configuration_that_cannot_be_used_is_told_in_it(bundle: Callable[..., dict[str, str]]) -> None:
    files = bundle("[pool:support]\nnumbers = 5551234560, 5551234560x\n[server]\naudit_key = planted-short\n")
    assert files.keys() == FILES
    assert _leaks(files) == []
    assert "[server] audit_key: must be at least 16 characters" in files["configuration.json"]
    assert json.loads(files["versions.json"])["python"]


def test_a_date_is_whole_and_a_number_beside_it_is_not(
    client: Redis, store: Store, new_pool: Callable[..., Pool], bundle: Callable[..., dict[str, str]]
) -> None:
    pool = new_pool("5551234560-5551234568", name="support")
    store.lease(pool, ANI, "1", "ivr", 60_000)
    an_hour_passes(client)
    assert re.search(r"busy hour: 20\d\d-\d\d-\d\d \d\d:00 UTC, 1 call", bundle(_of())["advise.txt"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("until 2026-11-28T02:12:52.054Z, of", "until 2026-11-28T02:12:52.054Z, of"),
        ("(2026-11-28 02:12)", "(2026-11-28 02:12)"),
        ("2026-11-28 5551234560 2026-11-28", "2026-11-28 \N{HORIZONTAL ELLIPSIS}560 2026-11-28"),
        ("2026-11-28-5551234", "\N{HORIZONTAL ELLIPSIS}234"),
        ("555-2026-11-28", "\N{HORIZONTAL ELLIPSIS}-28"),
        ("2026-11-281", "\N{HORIZONTAL ELLIPSIS}281"),
        ("2026-11-28.1", "\N{HORIZONTAL ELLIPSIS}8.1"),
        ("2026-13-28", "\N{HORIZONTAL ELLIPSIS}-28"),
        ("op id=ea123048ef010060 user=x", "op id=ea123048ef010060 user=x"),
        ('{"id":"ea123048ef010060","user":"x"}', '{"id":"ea123048ef010060","user":"x"}'),
        ("dnis=ea123048ef010060", "dnis=ea\N{HORIZONTAL ELLIPSIS}048ef\N{HORIZONTAL ELLIPSIS}060"),
        ("id=5551234560", "id=\N{HORIZONTAL ELLIPSIS}560"),
        ("id=ea123048ef010060-5551234560", "id=ea\N{HORIZONTAL ELLIPSIS}048ef\N{HORIZONTAL ELLIPSIS}560"),
        ("+2026-11-28", "+\N{HORIZONTAL ELLIPSIS}-28"),
    ],
)
def test_only_what_is_a_date_by_itself_or_an_id_of_the_service_is_whole(text: str, shown: str) -> None:
    assert redacted.without_numbers(text) == shown


def test_the_last_warnings_and_the_end_of_the_log_are_in_it_masked(
    client: Redis, store: Store, bundle: Callable[..., dict[str, str]]
) -> None:
    store.event_tell([Event(1_796_000_000_000, "WARNING", "cticache.x", f"{NUMBERS[0]} is lost", "process 7 on h")])
    secret = f"planted-audit-key {HASH}"
    lines = [
        f"2026-11-28 02:12:51.864Z INFO cticache.audit: id=1 dnis={NUMBERS[0]} token={TOKEN}",
        f"2026-11-28 02:12:51.865Z ERROR cticache.x: of {NUMBERS[1]}: {secret}\x1b[1m",
        f"  a traceback GET /cticache/DNIS-ANI/{NUMBERS[2]}:{ANI}",
        f'{{"time":"2026-11-28T02:12:51.866Z","logger":"cticache.audit","dnis":"{NUMBERS[0]}"}}',
    ]
    Path("own.log").write_bytes(b"\xff of the first line\n" * 20_000 + "\n".join(lines).encode())
    files = bundle(_of(), "--log", "own.log")
    assert files.keys() == {*FILES, "log.txt"}
    assert _leaks(files) == []
    assert files["events.txt"] == (
        "2026-11-30T00:53:20.000Z WARNING cticache.x: \N{HORIZONTAL ELLIPSIS}560 is lost (process 7 on h)\n"
    )
    told = files["log.txt"].splitlines()
    assert told[-2:] == [
        "2026-11-28 02:12:51.865Z ERROR cticache.x: of \N{HORIZONTAL ELLIPSIS}569: *** ***\\x1b[1m",
        "  a traceback GET /cticache/DNIS-ANI/\N{HORIZONTAL ELLIPSIS}887:\N{HORIZONTAL ELLIPSIS}901",
    ]
    assert set(told[:-2]) == {"\N{REPLACEMENT CHARACTER} of the first line"}, "whole lines alone"
    assert len(files["log.txt"]) < 300_000


def test_a_short_log_is_whole_in_it(bundle: Callable[..., dict[str, str]]) -> None:
    Path("own.log").write_text("the first\nthe last\n", "utf-8")
    assert bundle(_of(), "--log", "own.log")["log.txt"] == "the first\nthe last\n"


def test_a_log_that_is_not_there_is_a_mistake(run: Run) -> None:
    code, out, err = run(_of(), "support", "--output", "own.zip", "--log", "none.log")
    assert (code, out, err) == (2, "", "cticache: none.log cannot be read: No such file or directory\n")
    assert not Path("own.zip").exists()


def test_no_file_is_written_over(run: Run) -> None:
    Path("own.zip").write_text("mine", "utf-8")
    code, out, err = run(_of(), "support", "--output", "own.zip")
    assert (code, out) == (2, "")
    assert err == "cticache: own.zip is there already: name another file with --output\n"
    assert Path("own.zip").read_text("utf-8") == "mine"


def test_a_place_that_cannot_be_written_is_a_mistake(run: Run) -> None:
    code, out, err = run(_of(), "support", "--output", "none/own.zip")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "own.zip cannot be written: " in err


def test_the_file_is_named_by_the_time_and_nobody_else_may_read_it(run: Run) -> None:
    code, out, _ = run(_of(), "support", "--json")
    assert code == 0
    told = json.loads(out)
    assert set(told["files"]) == FILES
    (written,) = Path().glob("cticache-support-*.zip")
    assert told["file"] == str(written)
    if sys.platform != "win32":
        assert stat.S_IMODE(written.stat().st_mode) & 0o077 == 0
    assert written.stat().st_size < 20_000
