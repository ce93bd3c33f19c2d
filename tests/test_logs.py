import io
import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cticache import logs
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.logs import AUDIT, NO_NUMBERS, Fields, escaped
from cticache.loop.listen import affordable
from cticache.numbering.pools import Pools
from kit.samples import make_pool


def test_the_log_is_utf_8_whatever_the_code_page(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(written, "cp1252"))
    logs.configure()
    logging.getLogger("cticache.test").warning("J\u00f6rg \u6f22 and a byte that is no text: \udcff")
    for handler in logging.root.handlers:
        handler.flush()
    assert written.getvalue().decode().rstrip().endswith(": J\u00f6rg \u6f22 and a byte that is no text: \\udcff")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        pytest.param("caller 1234567890 is gone", "caller \u2026890 is gone", id="digits"),
        pytest.param("caller +15551234567", "caller +\u2026567", id="plus"),
        pytest.param("call 5551234568:1234567890", "call \u2026568:\u2026890", id="both numbers of a call"),
        pytest.param("sip:5551234568@host", "sip:\u2026568@host", id="in an address"),
        pytest.param("took 12345 ms", "took 12345 ms", id="a short number is none"),
        pytest.param("pool %s: %d numbers in place", "pool %s: %d numbers in place", id="no arguments"),
        pytest.param("1" * 64, "\u2026111", id="a very long number"),
        pytest.param("caller 555.123.4567", "caller \u2026567", id="dots"),
        pytest.param("caller 01.42.68.53.00", "caller \u2026.00", id="five groups"),
        pytest.param("caller 555\u2010123\u00a04567", "caller \u2026567", id="a hyphen and a space of Unicode"),
        pytest.param("caller 555\n123\u202e4567", "caller \u2026567", id="what would be escaped within"),
        pytest.param(
            "caller \u0661\u0662\u0663\u0664\u0665\u0666\u0667", "caller \u2026\u0665\u0666\u0667", id="Arabic"
        ),
        pytest.param("Error 111 at 192.168.200.201:6379.", "Error 111 at 192.168.200.201:6379.", id="an IPv4 address"),
        pytest.param("111 10.20.30.40", "111 10.20.30.40", id="an address after a number"),
        pytest.param("in 10.20.30.140.", "in 10.20.30.140.", id="an address at the end"),
    ],
)
def test_a_telephone_number_is_shown_by_its_last_digits(log: io.StringIO, message: str, shown: str) -> None:
    logging.getLogger("cticache.test").warning(message)
    assert log.getvalue().endswith(f" WARNING cticache.test: {shown}\n")


@pytest.mark.parametrize("count", [0, 999_999, 1_000_000, 5_000_000, 10**15])
def test_a_count_with_commas_is_shown(log: io.StringIO, count: int) -> None:
    logging.getLogger("cticache.test").info("%s numbers in place, %s of them new", f"{count:,}", f"{count:,}")
    assert log.getvalue().endswith(f": {count:,} numbers in place, {count:,} of them new\n")


def test_the_size_of_a_large_pool_is_shown(log: io.StringIO, store: Store) -> None:
    sync(store, Pools([make_pool("5550000000-5550099999", name="big")]), take_over=True)
    assert log.getvalue().endswith(
        " INFO cticache.data.sync: pool big: 100,000 numbers in place, 100,000 of them new\n"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is fixed there")
def test_a_large_number_of_connections_is_shown(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _what: (1_048_576, 1_048_576))
    assert affordable(2_000_000) == 1_048_480
    assert log.getvalue().endswith(": [server] connections = 2,000,000: this system allows 1,048,480\n")


def test_a_number_among_the_arguments_is_masked_too(log: io.StringIO) -> None:
    logging.getLogger("cticache.test").info("%s is leased to %d", "5551234568", 1234567890)
    assert log.getvalue().endswith(" INFO cticache.test: \u2026568 is leased to \u2026890\n")


def test_waitress_is_masked_too(log: io.StringIO) -> None:
    path = "/cticache/DNIS-ANI/5551234568:1234567890"
    logging.getLogger("waitress").error("Exception while serving %s", path)
    assert log.getvalue().endswith(" ERROR waitress: Exception while serving /cticache/DNIS-ANI/\u2026\n")


@pytest.mark.parametrize(
    "written",
    ["555-123-4567", "(555) 123-4567", "555.123.4567", "+1 555 123 4567"],  # as waitress logs it: unescaped
)
def test_a_number_written_with_separators_is_masked_too(log: io.StringIO, written: str) -> None:
    logging.getLogger("waitress").error("Exception while serving %s", f"/cticache/DNIS-ANI/5551234568:{written}")
    assert written not in log.getvalue()
    assert "123" not in log.getvalue().partition("serving")[2]


FORGED = "ERROR cticache.forged: hello"
OTHERS = "\x7f\u2028\u2029\u202a\u202e\u2066\u2069\u200b"
UNPRINTABLE = [*map(chr, range(0x20)), *map(chr, range(0x80, 0xA0)), *OTHERS]


@pytest.mark.parametrize("name", ["cticache.test", AUDIT, "waitress", "no numbers"])
def test_nothing_that_is_logged_ends_its_line_or_changes_its_direction(log: io.StringIO, name: str) -> None:
    extra = NO_NUMBERS if name == "no numbers" else None
    for character in UNPRINTABLE:
        logging.getLogger(name).warning("x%s%s", character, FORGED, extra=extra)
    *lines, last = log.getvalue().split("\n")
    assert last == ""
    assert [line.partition(": x")[2][: -len(FORGED)] for line in lines] == [repr(c)[1:-1] for c in UNPRINTABLE]
    assert all(line.isprintable() for line in lines)


def test_half_of_a_surrogate_pair_which_no_stream_takes_is_escaped() -> None:
    assert escaped("x\ud800\udcff") == "x\\ud800\\udcff"


@pytest.mark.parametrize("name", ["cticache.test", AUDIT])
def test_a_traceback_has_lines_of_which_none_looks_like_a_record(log: io.StringIO, name: str) -> None:
    try:
        int("x")
    except ValueError as error:
        error.add_note(f"one\n{FORGED}\r{FORGED}\u2028{FORGED}")
        logging.getLogger(name).exception("failed", stack_info=True)
    first, *others = log.getvalue().removesuffix("\n").splitlines()
    assert first.endswith(": failed")
    assert "  Traceback (most recent call last):" in others
    assert f"  {FORGED}\\r{FORGED}\\u2028{FORGED}" in others
    assert all(line.startswith("  ") for line in others)


@pytest.mark.parametrize("caller", ["+49 (0)30.123.45.67", "+49_30_123_45_67", "5551234567", "alice:12", "\n2026"])
@pytest.mark.parametrize("line", ["Exception while serving %s", "Client disconnected while serving %s"])
def test_of_the_path_that_waitress_names_only_plain_words_are_shown(log: io.StringIO, line: str, caller: str) -> None:
    logging.getLogger("waitress").error(line % f"/cticache/DNIS-ANI/5551234568:{caller}")
    logging.getLogger("waitress").error(line % f"/x{caller}")
    logging.getLogger("waitress").error(line % "/healthz")
    shown = ["/cticache/DNIS-ANI/\u2026", "/xalice\u2026" if caller == "alice:12" else "/x\u2026", "/healthz"]
    assert [text.partition("serving ")[2] for text in log.getvalue().splitlines()] == shown


def test_a_line_that_cannot_be_made_is_told_of_without_its_arguments(
    log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.root.handlers[0].handle(logging.makeLogRecord({"name": "cticache.test", "msg": "%d", "args": ("SECRET",)}))
    assert log.getvalue().endswith(" ERROR cticache.logs: a line of cticache.test could not be made: TypeError\n")
    assert capsys.readouterr().err == ""


def test_what_ends_a_thread_is_logged(log: io.StringIO) -> None:
    def fail(error: BaseException) -> None:
        raise error

    for error in (SystemExit(0), ValueError("caller 1234567890")):
        thread = threading.Thread(target=fail, args=[error], name="t")
        thread.start()
        thread.join()
    first, *others = log.getvalue().splitlines()
    assert first.endswith(" CRITICAL cticache.logs: thread t has ended with ValueError")
    assert others[-1] == "  ValueError: caller \u2026890"


def test_a_number_in_an_exception_is_masked_too(log: io.StringIO) -> None:
    number = "1234567890"
    try:
        int(f"caller {number}")
    except ValueError:
        logging.getLogger("waitress").exception("Exception while serving")
    assert "ValueError: invalid literal" in log.getvalue()
    assert number not in log.getvalue().partition("ValueError: invalid literal")[2]


def test_a_debug_message_is_not_written(log: io.StringIO) -> None:
    logging.getLogger("cticache.test").warning("fine")
    logging.getLogger("cticache.test").debug("not shown")
    assert log.getvalue().count("\n") == 1


def test_the_line_that_waitress_writes_for_each_waiting_request_is_off(log: io.StringIO) -> None:
    logging.getLogger("waitress.queue").warning("Task queue depth is 1")
    assert log.getvalue() == ""


def test_the_time_and_other_figures_stay_as_they_are(log: io.StringIO) -> None:
    logging.getLogger("cticache.test").info("x")
    day, clock, _ = log.getvalue().split(" ", 2)
    assert abs(datetime.fromisoformat(f"{day} {clock}") - datetime.now(UTC)) < timedelta(minutes=1)
    assert len(day) == 10
    assert len(clock) == 13


def test_nobody_who_logs_waits_for_whoever_reads_the_log(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def write() -> None:
        for n in range(lines):
            logging.getLogger("cticache.test").info("line %d %s", n, "x" * 100)

    lines, kept = 5000, 2000  # some 700 kB, and a pipe holds 64
    reader, writer = os.pipe()
    monkeypatch.setattr(logs, "_MOST_WAITING", kept)
    monkeypatch.setattr(logs, "_FLUSH_S", 0.01)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(logging.root.handlers[0], "stream", stream)
        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
        with os.fdopen(reader, encoding="utf-8") as pipe:
            logging.root.handlers[0].flush()  # it does not wait either
            read, lost = list[str](), 0
            while len(read) + lost < lines:
                line = pipe.readline()
                if "lines of the log are lost" in line:
                    lost += int(line.split()[4].replace(",", ""))
                else:
                    read.append(line)
    assert len(read) >= kept
    numbers = [int(line.split()[5]) for line in read]
    assert numbers == sorted(numbers)
    assert lost


# As JSON


@pytest.fixture
def as_json(log: io.StringIO) -> Callable[[], list[dict[str, Any]]]:
    """What has been logged as JSON since the beginning of the test, read as a program reads it."""
    logs.configure("json")
    return lambda: [json.loads(line) for line in log.getvalue().splitlines()]


Read = Callable[[], list[dict[str, Any]]]


def test_as_json_a_record_is_an_object_in_a_line_with_its_time_in_utc(as_json: Read) -> None:
    began = datetime.now(UTC)
    logging.getLogger("cticache.test").warning("J\u00f6rg is %s", "here")
    (told,) = as_json()
    at = datetime.fromisoformat(told.pop("time"))
    assert began - timedelta(milliseconds=1) <= at <= datetime.now(UTC)
    assert told == {"level": "WARNING", "logger": "cticache.test", "message": "J\u00f6rg is here"}


@pytest.mark.parametrize("name", ["cticache.test", AUDIT, "waitress"])
def test_as_json_nothing_that_is_logged_ends_its_line_or_adds_a_member(
    log: io.StringIO, as_json: Read, name: str
) -> None:
    forged = '","level":"ERROR","forged":"'
    for character in UNPRINTABLE:
        logging.getLogger(name).warning("x%s%s", character, forged)
        logging.getLogger(name).warning(Fields("y", "a", "b"), f"x{character}{forged}", "-")
    assert log.getvalue().replace("\n", "").isprintable()
    plain, fields = as_json()[::2], as_json()[1::2]
    assert [told["message"] for told in plain] == [f"x{repr(c)[1:-1]}{forged}" for c in UNPRINTABLE]
    assert [(told["message"], told["a"], told["b"]) for told in fields] == [
        ("y", f"x{repr(c)[1:-1]}{forged}", None) for c in UNPRINTABLE
    ]
    assert {told["level"] for told in as_json()} == {"WARNING"}


@pytest.mark.parametrize(
    ("name", "extra", "shown"),
    [("cticache.test", None, "\u2026890"), (AUDIT, None, "1234567890"), ("cticache.test", NO_NUMBERS, "1234567890")],
)
def test_as_json_a_telephone_number_is_masked_wherever_it_stands(
    as_json: Read, name: str, extra: dict[str, bool] | None, shown: str
) -> None:
    logging.getLogger(name).warning("%s", "1234567890", extra=extra)
    logging.getLogger(name).warning(Fields("y", "a", "n"), "1234567890", 1.5, extra=extra)
    one, other = as_json()
    assert (one["message"], other["a"], other["n"]) == (shown, shown, 1.5)


def test_as_json_a_traceback_is_one_member_without_numbers(as_json: Read) -> None:
    try:
        int("caller 1234567890")
    except ValueError as error:
        error.add_note(f"one\n{FORGED}\u2028")
        logging.getLogger("cticache.test").exception("failed")
    (told,) = as_json()
    assert told["message"] == "failed"
    lines = told["traceback"].split("\n")
    assert lines[0] == "Traceback (most recent call last):"
    assert f"{FORGED}\\u2028" in lines
    assert "1234567890" not in told["traceback"].replace('int("caller 1234567890")', "")


@pytest.mark.parametrize("style", ["text", "json"])
def test_lines_that_are_lost_are_told_of_in_the_form_of_all_others(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    monkeypatch.setattr("sys.stderr", log)
    logs.configure(style)
    monkeypatch.setattr(logs, "_MOST_WAITING", -1)
    logging.getLogger("cticache.test").warning("lost")
    monkeypatch.setattr(logs, "_MOST_WAITING", 10)
    logging.getLogger("cticache.test").warning("kept")
    kept, lost = log.getvalue().splitlines()
    message = "1 lines of the log are lost: they were not read in time"
    assert lost.endswith(f" WARNING cticache.logs: {message}") or json.loads(lost)["message"] == message
    assert (kept[0] == lost[0] == "{") == (style == "json")


# The level


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_nothing_below_the_level_is_logged(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch, level: str, shown: list[str]
) -> None:
    monkeypatch.setattr("sys.stderr", log)
    logs.configure(level=level)
    for name in ("cticache.test", "library", "waitress"):
        for each in logs.LEVELS:
            getattr(logging.getLogger(name), each)(each)
    told: dict[str, list[str]] = {}
    for line in log.getvalue().splitlines():
        _, _, _, name, message = line.split()
        told.setdefault(name, []).append(message)
    assert told == {
        "cticache.test:": shown,
        "library:": [each for each in shown if each != "debug"],  # one may log a value there
        "waitress:": [each for each in shown if each in ("warning", "error")],
    }


def test_what_no_line_shows_is_in_a_record_for_other_handlers(log: io.StringIO) -> None:
    record = logging.getLogger("cticache.test").makeRecord("n", logging.INFO, "f", 1, "%(a)s", ({"a": 1},), None)
    ordinary = logging.LogRecord("n", logging.INFO, "f", 1, "%(a)s", ({"a": 1},), None)
    assert record.getMessage() == ordinary.getMessage() == "1"
    assert record.__dict__.keys() == ordinary.__dict__.keys() - {"taskName"}  # of Python 3.12 on
    assert 0 <= record.msecs < 1000
