import io
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from cticache import cli, config
from cticache.access.passwords import Verifier
from cticache.access.users import ROLES
from cticache.data.format import FORMAT
from cticache.link.connection import connect
from cticache.link.embedded import socket_url
from cticache.link.trouble import AWAY, REFUSALS, SILENT
from cticache.operate.new_user import MOST_BYTES
from kit import forked, servers

_SHELL = pytest.mark.skipif(sys.platform == "win32", reason="no such shell there")
ANY_PORT = "[server]\nport = 0\n"
POOL = "[pool:system-y]\nnumbers = 100-104\n"
Printed = Callable[[], tuple[list[str], list[str]]]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration but what the test writes."""
    for name in [name for name in os.environ if name.startswith("CTICACHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_args: tmp_path / "none")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """The lines printed so far, and those on standard error; never a traceback."""

    def lines() -> tuple[list[str], list[str]]:
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return out.splitlines(), err.splitlines()

    return lines


COMMANDS = [
    "serve",
    "check",
    "health",
    "acl",
    "pools",
    "advise",
    "explain",
    "leases",
    "release",
    "recipe",
    "user",
    "support",
    "completion",
]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="cti") as folder:
        yield Path(folder)


def _write(redis: str, rest: str = POOL) -> None:
    Path("config.ini").write_text(f"[redis]\n{redis}\n{rest}")


def _input(given: bytes) -> io.TextIOWrapper:
    """A standard input under a code page of Windows."""
    return io.TextIOWrapper(io.BytesIO(given), "cp1252")


def _run(*arguments: str, given: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a program of its own, which no test harness catches the log of.

    A locale or a code page is an interpreter's from its start.
    """
    if sys.platform != "win32" and not environment:
        return forked.run(*arguments, given=given)
    done = subprocess.run(
        [sys.executable, "-m", "cticache", *arguments],
        input=given,
        capture_output=True,
        env=os.environ | environment,
        timeout=30,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_every_command_explains_itself(command: list[str], printed: Printed) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"])
    assert ended.value.code == 0
    text = " ".join(printed()[0])
    assert "usage: cticache" in text
    assert ("--config FILE" in text) == (command not in ([], ["user"], ["completion"]))


@pytest.mark.parametrize(
    ("command", "words"),
    [("check", "Validate the configuration, reach Redis"), ("advise", "which TTL"), ("explain", "an ANI and DNIS")],
)
def test_help_writes_terms_as_they_are_written(command: str, words: str, printed: Printed) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    assert words in " ".join(" ".join(printed()[0]).split())


def test_the_overview_names_the_commands_and_the_exit_codes(printed: Printed) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = " ".join(printed()[0])
    for piece in ("serve", "check", "acl", "pools", "user", "Exit codes: 0", "1 Redis", "2 a mistake"):
        assert piece in text


def test_the_version_is_printed(printed: Printed) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert printed()[0][0].startswith("cticache 0.")


@pytest.mark.parametrize(
    "arguments", [[], ["start"], ["user"], ["check", "--conf"], ["pools", "--watch", "x"]], ids=" ".join
)
def test_a_wrong_command_ends_with_2(arguments: list[str], printed: Printed) -> None:
    assert cli.main(arguments) == 2
    out, err = printed()
    assert not out
    assert err[0].startswith("usage: cticache")
    assert err[-1].startswith("cticache: ")
    assert "--help` tells more" in err[-1]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a{b}", "\u00e4", "x" * 65, "a\n", "]"])
def test_a_name_that_cannot_be_a_section_is_refused(name: str, printed: Printed) -> None:
    assert cli.main(["user", name]) == 2
    out, err = printed()
    assert not out
    assert len(err) == 1
    assert "1 to 64 of A-Z a-z 0-9 _ . -" in err[0]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["no line end", "line end", "Windows line end"])
def test_a_users_section_can_be_pasted(end: str, printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", _input(f" p\u00e4ss%:;# word {end}".encode()))
    assert cli.main(["user", "bob.b", "--password-stdin"]) == 0
    out, err = printed()
    assert not err
    assert not any("word" in line for line in out if "password =" not in line)
    Path("config.ini").write_text(POOL + "\n".join(out) + "\n")
    (user,) = config.read(Path("config.ini"), {}).users
    assert (user.name, user.pools, user.roles) == ("bob.b", frozenset(), frozenset())  # what it may do was not said
    verifier = Verifier([user], 60, 10)
    assert verifier.user("bob.b", " p\u00e4ss%:;# word ")
    assert not verifier.user("bob.b", "p\u00e4ss%:;# word")


@pytest.mark.parametrize(
    ("options", "pools", "roles"),
    [
        ([], frozenset(), frozenset()),
        (["--for-x"], frozenset(), {"lease"}),
        (["--for-y", "--pools", "system-y"], {"system-y"}, {"read", "take"}),
        (["--watch", "--pools", "*"], None, {"watch"}),
        (["--for-x", "--for-y", "--pools", "system-y other"], {"system-y", "other"}, {"lease", "read", "take"}),
        (["--pools", "other, *"], None, frozenset()),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_a_user_may_do_what_was_said_and_no_more(
    options: list[str],
    pools: set[str] | None,
    roles: set[str],
    printed: Printed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", _input(b"secret"))
    assert cli.main(["user", "bob", "--password-stdin", *options]) == 0
    out, err = printed()
    assert not err
    Path("config.ini").write_text(POOL + "[pool:other]\nnumbers = 7\n" + "\n".join(out) + "\n")
    (user,) = config.read(Path("config.ini"), {}).users
    assert (user.pools, user.roles) == (pools, roles)
    assert ("none yet" in "".join(out)) == (pools == frozenset() or not roles)


def test_a_user_without_roles_is_told_all_that_there_are(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", _input(b"secret"))
    assert cli.main(["user", "boss", "--password-stdin"]) == 0
    (line,) = [line for line in printed()[0] if line.startswith("roles =")]
    assert {role for role in ROLES if re.search(rf"\b{role}\b", line)} == set(ROLES)


@pytest.mark.parametrize("also", [[], ["--password-stdin"]], ids=["alone", "beside a password"])
def test_a_token_is_invented_and_shown_once(also: list[str], printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", _input(b"secret"))
    assert cli.main(["user", "bob", "--token", "--for-x", "--pools", "*", *also]) == 0
    out, (told,) = printed()
    token = told.removeprefix("The token is ")
    assert len(token) == 64
    assert token not in "\n".join(out)
    Path("config.ini").write_text(POOL + "\n".join(out) + "\n")
    (user,) = config.read(Path("config.ini"), {}).users
    verifier = Verifier([user], 60, 10)
    assert verifier.bearer(token) is verifier.user("bob", token) is user
    assert bool(verifier.user("bob", "secret")) == bool(also)


@pytest.mark.parametrize("pools", ["system y!", "a:b", "sys{em}"])
def test_what_is_no_pools_name_is_a_mistake(pools: str, printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", _input(b"secret"))
    assert cli.main(["user", "bob", "--password-stdin", "--pools", pools]) == 2
    out, (line,) = printed()
    assert not out
    assert "cannot be a pool's name" in line


def test_an_invented_password_goes_to_standard_error(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert cli.main(["user", "bob"]) == 0
    out, (told,) = printed()
    Path("config.ini").write_text(POOL + "\n".join(out) + "\n")
    users = config.read(Path("config.ini"), {}).users
    password = told.removeprefix("The password is ")
    assert len(password) == 32
    assert password not in "\n".join(out)
    assert Verifier(users, 60, 10).user("bob", password)


@pytest.mark.parametrize("given", ["", "\n", "\r\n"])
def test_no_password_on_standard_input_is_a_mistake(
    given: str, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", _input(given.encode()))
    assert cli.main(["user", "bob", "--password-stdin"]) == 2
    out, (line,) = printed()
    assert not out
    assert "no password on standard input" in line


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"x" * 200_000, "the password has 200,000 bytes in UTF-8: use at most 1,024"),
        (b"x" * 1025 + b"\n", "the password has 1,025 bytes in UTF-8: use at most 1,024"),
        ("\u00e4".encode() * 513, "the password has 1,026 bytes in UTF-8: use at most 1,024"),
        (b"x" * 3_000_000, "standard input is no password: use at most 1,024 bytes in UTF-8"),
        (b"sec\0ret\n", "character 4 of the password is a control character (U+0000)"),
        (b"secret\t\n", "character 7 of the password is a control character (U+0009)"),
        (b"sec\rret\n", "character 4 of the password is a control character (U+000D)"),
        (b"\x1b[31msecret", "character 1 of the password is a control character (U+001B)"),
        (b"secret\x7f", "character 7 of the password is a control character (U+007F)"),
        ("secret".encode("utf-16-le"), "character 2 of the password is a control character (U+0000)"),
        (b"secret\nother\n", "standard input has several lines"),
        (b"\nsecret\n", "standard input has several lines"),
        (b"secret\r\n\r\nx", "standard input has several lines"),
    ],
)
@pytest.mark.parametrize("also", [[], ["--token"]], ids=["alone", "beside a token"])
def test_a_password_that_no_client_could_send_is_a_mistake(
    given: bytes, told: str, also: list[str], printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", _input(given))
    assert cli.main(["user", "bob", "--password-stdin", *also]) == 2
    out, (line,) = printed()
    assert not out
    assert line.startswith(f"cticache: {told}")
    assert "secret" not in line


def test_a_typed_password_that_no_client_could_send_is_a_mistake(
    printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "sec\tret")
    monkeypatch.setattr("sys.stdin", _input(b""))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert cli.main(["user", "bob", "--for-x", "--pools", "*"]) == 2
    out, (line,) = printed()
    assert not out
    assert line.startswith("cticache: character 4 of the password is a control character (U+0009)")


@pytest.mark.parametrize("end", ["", "\n\n", "\r\n\r\n"])
def test_the_longest_password_is_taken_and_lines_with_nothing_are_none(
    end: str, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", _input(b"x" * MOST_BYTES + end.encode()))
    assert cli.main(["user", "bob", "--password-stdin"]) == 0
    out, _ = printed()
    Path("config.ini").write_text(POOL + "\n".join(out) + "\n")
    assert Verifier(config.read(Path("config.ini"), {}).users, 60, 10).user("bob", "x" * MOST_BYTES)


def _sh(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What ``cticache`` in a shell's command line comes to."""
    program = shlex.join([sys.executable, "-m", "cticache"])
    environment = os.environ | {"PYTHONUNBUFFERED": ""} | environment
    return subprocess.run(
        ["/bin/sh", "-c", command.replace("cticache", program)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        timeout=30,
        check=False,
    )


@_SHELL
def test_without_a_standard_input_a_password_is_invented() -> None:
    done = _sh("cticache user bob <&-")
    assert done.returncode == 0
    assert done.stderr.startswith("The password is ")
    assert done.stdout.startswith("[user:bob]\npassword = $argon2id$")


@_SHELL
@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("cticache user bob --password-stdin <&-", 2, "no password on standard input"),
        ("cticache user bob --password-stdin 0>written", 2, "the password cannot be read"),
        ("cticache check --config own.ini >/dev/full", 1, "standard output cannot be used: No space left"),
        ("cticache check --config own.ini >&-", 1, "standard output cannot be used: Bad file descriptor"),
        ("cticache --help >/dev/full", 1, "standard output cannot be used: No space left"),
        ("cticache serve --config own.ini >/dev/full", 1, "standard output cannot be used: No space left"),
    ],
)
def test_standard_streams_that_cannot_be_used_are_one_line(
    command: str, code: int, told: str, short_folder: Path
) -> None:
    if "/dev/full" in command and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    Path("own.ini").write_text(f"{ANY_PORT}workers = 1\n[redis]\ndata = {short_folder}\n{POOL}")
    done = _sh(command)
    lines = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert (done.returncode, len(lines)) == (code, 1), done.stderr
    assert lines[0].startswith("cticache: ")
    assert told in lines[0]


@_SHELL
@pytest.mark.parametrize("command", ["--version", "--help", "recipe", "recipe --json", "acl --config own.ini"])
def test_a_reader_that_goes_is_no_error_to_tell(command: str) -> None:
    Path("own.ini").write_text(f"[redis]\nurl = redis://bob:word@127.0.0.1:1/0\n{POOL}")
    done = _sh(f"(cticache {command}; echo $? >code) | exec true; exit $(cat code)")
    told = [line for line in done.stderr.splitlines() if not line.startswith("Nobody may administer")]
    assert (done.returncode, told) == (1, [])


@_SHELL
def test_a_service_says_why_it_ends_when_its_reader_goes(short_folder: Path) -> None:
    Path("own.ini").write_text(f"{ANY_PORT}workers = 1\n[redis]\ndata = {short_folder}\n{POOL}")
    done = _sh("(cticache serve --config own.ini; echo $? >code) | exec true; exit $(cat code)")
    assert done.returncode == 1
    assert "cticache: standard output cannot be used: Broken pipe" in done.stderr.splitlines()


@_SHELL
@pytest.mark.parametrize(
    ("file", "code", "told"),
    [
        ("/proc/none/own.ini", 2, "there is no /proc/none/own.ini"),
        ("/proc", 2, "/proc is not a file: name the config.ini itself"),
        ("x" * 300, 1, "File name too long"),
    ],
    ids=["where nothing can be", "a folder", "too long a name"],
)
def test_a_file_that_cannot_be_there_is_one_line(file: str, code: int, told: str) -> None:
    done = _run("check", "--config", file)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (code, "")
    assert line.startswith("cticache: ")
    assert told in line


@_SHELL
@pytest.mark.parametrize("where", ["/dev/full", "&-"])
def test_a_standard_error_that_cannot_be_used_leaves_the_exit_code(where: str) -> None:
    done = _sh(f"cticache check --config none.ini 2>{where}")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["pools"], 1, "output"),
        (["pools", "--warn", "5"], 3, "output"),
        (["release", "--user", "x", "--yes"], 1, "output"),
        (["pools", "--wrong"], 2, "usage"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_without_a_standard_output_nothing_is_done_and_that_is_told(
    arguments: list[str], code: int, error: str, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", None)
    assert cli.main(arguments) == code
    assert "output cannot be used: Bad file" in printed()[1][-1] or error == "usage"
    assert cli.main([*arguments, "--json"]) == code
    (line,) = printed()[1]
    assert json.loads(line)["error"] == error


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["leases", "--user", "a\udcff"], 2),
        (["leases", "--dnis", "\udcff\udcfe"], 2),
        (["release", "--yes", "--user", "\udcff"], 2),
        (["support", "--config", "\udcff.ini"], 2),
        (["pools", "--warn", "5", "\udcff"], 3),
    ],
    ids=["user", "dnis", "release", "file", "monitoring"],
)
def test_an_argument_that_is_no_text_is_a_mistake(arguments: list[str], code: int, printed: Printed) -> None:
    """As Python has bytes that are not UTF-8."""
    assert cli.main(arguments) == code
    out, err = printed()
    (line,) = out + err
    assert f"argument {len(arguments)} of the command line is not UTF-8 text: encode it as UTF-8" in line


@_SHELL
def test_a_path_that_the_terminal_cannot_show_is_printed_all_the_same(short_folder: Path) -> None:
    Path("\u00e4.ini").write_text(f"[redis]\ndata = {short_folder}\n{POOL}")
    done = _sh("cticache check --config \u00e4.ini", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("\\xe4.ini: 1 pool")


class Terminal:
    """`cticache user bob` at a terminal of its own: it has none but its standard input."""

    def __init__(self, *options: str) -> None:
        import pty

        keyboard, terminal = pty.openpty()
        prompts, stderr = os.pipe()
        self._keys = os.fdopen(keyboard, "wb", buffering=0)
        self._prompts = os.fdopen(prompts, "rb", buffering=0)
        out, stdout = os.pipe()
        self._out = os.fdopen(out, "rb")
        self._asking = forked.Forked(["user", "bob", *options], (terminal, stdout, stderr))
        for end in (terminal, stdout, stderr):
            os.close(end)

    def type(self, prompt: str, keys: bytes) -> None:
        """Wait for the prompt, and type; what is typed before it is thrown away."""
        said = b""
        while not said.endswith(prompt.encode()):
            more = self._prompts.read(1)
            assert more, said
            said += more
        self._keys.write(keys)

    def ended(self) -> tuple[int, list[str], list[str]]:
        """The exit code, and the lines of both streams since."""
        err, out = self._prompts.read(), self._out.read()
        code = self._asking.wait(30)
        for each in (self._keys, self._prompts, self._out):
            each.close()
        return code, out.decode().splitlines(), err.decode().splitlines()


PROMPT, FOR, POOLS = "Password (empty: invent one): ", "or several of them: ", "* for all): "
END = b"\x04"
"""Ctrl+D."""


@_SHELL
@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([(PROMPT, END)], "no password was given"),
        ([(PROMPT, b"\n"), (FOR, END)], "the input has ended: run the command again"),
        ([(PROMPT, b"\n"), (FOR, b"x, z\n")], "'z' is none of x, y and w: run the command again"),
        ([(PROMPT, b"\n"), (FOR, b"x\n"), (POOLS, b"a:b\n")], "'a:b' cannot be a pool's name"),
    ],
    ids=["end at the password", "end at the roles", "wrong role", "wrong pool"],
)
def test_a_mistake_at_the_prompt_is_one_line_and_exit_2(answers: list[tuple[str, bytes]], told: str) -> None:
    terminal = Terminal()
    for prompt, keys in answers:
        terminal.type(prompt, keys)
    code, out, err = terminal.ended()
    assert (code, out) == (2, [])
    assert err[-1].startswith("cticache: ")
    assert told in err[-1]
    assert len([line for line in err if line and "password is" not in line]) == 1


@_SHELL
@pytest.mark.parametrize(
    ("options", "answers", "section"),
    [
        ([], [(PROMPT, b"\n"), (FOR, b"y w\n"), (POOLS, b"a b\n")], ["pools = a, b", "roles = read, take, watch"]),
        (["--for-x"], [(PROMPT, b"\n"), (POOLS, b"*\n")], ["pools = *", "roles = lease"]),
        (["--token", "--pools", "a"], [(FOR, b"X\n")], ["pools = a", "roles = lease"]),
        (["--token", "--watch", "--pools", "a"], [], ["pools = a", "roles = watch"]),
    ],
    ids=["all", "no roles", "no password", "nothing"],
)
def test_at_a_terminal_it_asks_for_what_was_not_said(
    options: list[str], answers: list[tuple[str, bytes]], section: list[str]
) -> None:
    terminal = Terminal(*options)
    for prompt, keys in answers:
        terminal.type(prompt, keys)
    code, out, _ = terminal.ended()
    assert (code, out[0], out[2:]) == (0, "[user:bob]", section)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_password_that_is_no_utf_8_is_a_mistake_told_in_one_line(locale: str) -> None:
    done = _run("user", "bob", "--password-stdin", given=b"p\xe4ss\n", LC_ALL=locale)
    assert "Traceback" not in done.stderr
    assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (2, 1, "")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["bare", "with a byte order mark"])
def test_a_password_is_read_as_utf_8_whatever_the_code_page(mark: bytes) -> None:
    done = _run(
        "user", "bob", "--password-stdin", given=mark + "p\u00e4\u6f22ss\r\n".encode(), PYTHONIOENCODING="cp1252"
    )
    assert (done.returncode, done.stderr) == (0, "")
    Path("config.ini").write_text(POOL + done.stdout)
    assert Verifier(config.read(Path("config.ini"), {}).users, 60, 10).user("bob", "p\u00e4\u6f22ss")


@pytest.mark.parametrize(
    ("typed", "password"),
    [("\ud83d\ude00", "\U0001f600"), ("\ud83d", None)],
    ids=["a character in two halves, as a Windows console gives it", "half of one"],
)
def test_a_password_that_is_typed_is_text(
    typed: str, password: str | None, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _prompt: typed)
    monkeypatch.setattr("sys.stdin", _input(b""))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert cli.main(["user", "bob", "--for-x", "--pools", "*"]) == (0 if password else 2)
    out, err = printed()
    if password:
        Path("config.ini").write_text(POOL + "\n".join(out))
        assert Verifier(config.read(Path("config.ini"), {}).users, 60, 10).user("bob", password)
    else:
        assert err == ["cticache: the password is not UTF-8 text: encode it as UTF-8"]


def test_recipes_are_listed_a_line_each(printed: Printed) -> None:
    assert cli.main(["recipe"]) == 0
    out, err = printed()
    assert not err
    names = [line.split()[0] for line in out]
    assert names == sorted(names)
    assert {"curl", "python"} <= set(names)
    assert all(len(line) <= 120 and line.endswith(".") for line in out)


@pytest.mark.parametrize(
    ("server", "users", "options", "address", "pool", "of_x", "of_y"),
    [
        ("", "", [], "http://{}127.0.0.1:8080", "b", "username", "username"),
        ("port = 81", "ivr: lease, pbx: take", [], "http://{}127.0.0.1:81", "b", "ivr", "pbx"),
        ("host = ::1", "ivr: read, pbx: take", [], "http://{}[::1]:8080", "b", "username", "pbx"),
        ("host = ::1", "", ["--pool", "a"], "http://{}127.0.0.1:8080", "a", "username", "username"),
        ("port = 0", "all: lease take", ["--url", "https://h.example/"], "https://{}h.example", "b", "all", "all"),
    ],
    ids=["no user", "a user for each side", "nobody leases", "another pool", "another address"],
)
def test_a_recipe_has_this_servers_address_and_the_first_pool(
    *, server: str, users: str, options: list[str], address: str, pool: str, of_x: str, of_y: str, printed: Printed
) -> None:
    token = f"token = sha256:{'0' * 63}"
    sections = [
        f"[user:{name}]\n{token}{at}\nroles = {roles.replace(',', '')}\npools = b\n"
        for at, (name, _, roles) in enumerate(each.partition(": ") for each in users.split(", ") if each)
    ]
    Path("config.ini").write_text(
        f"[server]\n{server}\n[pool:b]\nnumbers = 100\n[pool:a]\nnumbers = 200\n{''.join(sections)}", "utf-8"
    )
    assert cli.main(["recipe", "curl", *options]) == 0
    out, err = printed()
    assert not err
    text = "\n".join(out)
    x, y = text.partition("## System X")[2].split("## System Y")
    for side, user in ((x, of_x), (y, of_y)):
        assert f"'{user}:password'" in side
        assert f"{address.format('')}/cticache/DNIS-ANI" in side
    assert f"pool={pool}" in x
    assert "system-y" not in text


def test_a_recipe_for_an_address_and_a_pool_needs_no_configuration(printed: Printed) -> None:
    for url in ("http://h:1", "http://system-y.example:1"):
        assert cli.main(["recipe", "curl", "--url", url, "--pool", "p"]) == 0
        assert f"pool=p' '{url}/cticache/DNIS-ANI" in "\n".join(printed()[0])


def test_a_service_that_listens_everywhere_has_a_name(printed: Printed) -> None:
    token = f"token = sha256:{'0' * 64}"
    Path("config.ini").write_text(f"[server]\nhost = 0.0.0.0\n{POOL}[user:bob]\n{token}\npools = *\n", "utf-8")
    assert cli.main(["recipe", "curl"]) == 0
    assert f"http://{socket.gethostname()}:8080/" in "\n".join(printed()[0])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["crul"], "there is no recipe 'crul': did you mean curl?"),
        (["Curl"], "there is no recipe 'Curl': did you mean curl?"),
        (["../README"], "there is no recipe '../README': there are "),
        (["curl", "--pool", "c"], "--pool c: there is no such pool in config.ini"),
        (["curl", "--url", "h:8080"], "--url h:8080: write http:// or https://"),
        (["curl", "--url", "http://u:p@h"], "--url http://u:p@h: write http:// or https://"),
        (["curl", "--url", "http://[::1"], "--url http://[::1: write http:// or https://"),
        (["curl", "--url", "http://[h]"], "--url http://[h]: write http:// or https://"),
        (["curl", "--url", "http://h:99999"], "--url http://h:99999: write http:// or https://"),
        (["curl", "--url", "http://h", "--pool", "a b"], "--pool a b: a pool's name is 1 to 64"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_a_recipe_that_cannot_be_printed_is_one_line_and_exit_2(
    arguments: list[str], told: str, printed: Printed
) -> None:
    Path("config.ini").write_text(POOL, "utf-8")
    assert cli.main(["recipe", *arguments]) == 2
    out, err = printed()
    assert not out
    (line,) = err
    assert line.startswith(f"cticache: {told}")


def test_an_unknown_recipe_is_told_before_a_configuration_that_is_missing(printed: Printed) -> None:
    assert cli.main(["recipe", "kamail"]) == 2
    assert printed()[1] == ["cticache: there is no recipe 'kamail': did you mean kamailio?"]


def test_a_recipe_has_the_pools_number_for_calls_without_data(printed: Printed) -> None:
    Path("config.ini").write_text(f"{POOL}without_data = +1555000\n", "utf-8")
    assert cli.main(["recipe", "amazon-connect"]) == 0
    assert 'GENERAL = "+1555000"' in "\n".join(printed()[0])


def test_a_port_that_is_another_at_each_start_is_in_no_recipe(printed: Printed) -> None:
    Path("config.ini").write_text(ANY_PORT + POOL, "utf-8")
    assert cli.main(["recipe", "curl"]) == 2
    assert printed()[1] == ["cticache: config.ini: [server] port = 0 is another one at each start: say --url"]


@pytest.mark.parametrize("command", ["serve", "check", "acl", "pools"])
@pytest.mark.parametrize(
    ("text", "piece"),
    [
        pytest.param(None, "there is no ", id="no file"),
        pytest.param("[server]\nport = x\n" + POOL, "[server] port = x: must be a whole number", id="wrong value"),
        pytest.param("nonsense", "line 1: stands before the first section", id="no section"),
        pytest.param(
            ANY_PORT + "[redis]\nurl = redis://h:port/0\n" + POOL, "[redis] url: cannot be read", id="unreadable url"
        ),
        pytest.param(
            ANY_PORT + "[redis]\nurl = redis://h/x?db=x\n" + POOL, "[redis] url: cannot be read", id="url option"
        ),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line_and_exit_2(
    command: str, text: str | None, piece: str, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cticache.logs.configure", lambda *_said: None)
    if text is not None:
        Path("own.ini").write_text(text)
    assert cli.main([command, "--config", "own.ini"]) == 2
    (line,) = printed()[1]
    assert line.startswith("cticache: ")
    assert piece in line


def test_a_url_that_cannot_be_read_is_told_but_not_shown(printed: Printed) -> None:
    _write("url = redis://bob:secret-word/x@127.0.0.1:1/0")  # a slash in the password, not escaped
    assert cli.main(["check"]) == 2
    (line,) = printed()[1]
    assert "[redis] url" in line
    assert "secret-word" not in line


def test_each_of_several_mistakes_is_a_line(printed: Printed) -> None:
    Path("config.ini").write_text("[server]\nport = x\nthreads = x\n" + POOL)
    assert cli.main(["check"]) == 2
    assert [line.partition(" = ")[0] for line in printed()[1]] == [
        "cticache: config.ini: [server] port",
        "cticache: config.ini: [server] threads",
    ]


@pytest.mark.parametrize("command", ["check", "pools", "advise"])
def test_a_redis_that_is_away_is_one_line_and_exit_1(command: str) -> None:
    _write(f"url = redis://:secret-word@127.0.0.1:{servers.free_port()}/0")
    done = _run(command)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith(f"cticache: {AWAY.says} (Error ")
    assert "secret-word" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", [["check"], ["pools"], ["advise"], ["explain", "100", "1"]], ids=" ".join)
def test_a_redis_that_does_not_answer_is_told_as_the_service_tells_it(command: list[str], printed: Printed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _write(f"url = redis://127.0.0.1:{silent.getsockname()[1]}/0\ntimeout = 0.05")
        assert cli.main(command) == 1
    assert printed()[1] == [f"cticache: {SILENT.says} (Timeout reading from socket)"]


@pytest.mark.parametrize("command", ["check", "pools"])
def test_a_redis_that_refuses_the_password_is_not_said_to_be_away(command: str) -> None:
    with servers.program(servers.packaged()) as running:
        _write(f"url = redis://:secret-word@127.0.0.1:{running.address[1]}/0")
        with Redis.from_url(servers.as_admin(running.url)) as admin:
            admin.config_set("requirepass", "another-word")
            done = _run(command)
            assert done.returncode == 1
            assert done.stderr.startswith(f"cticache: {REFUSALS['WRONGPASS']} ("), done.stderr
            assert len(done.stderr.splitlines()) == 1
            assert "-word" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="an imitation serves there")
def test_pools_without_a_running_embedded_server_is_a_mistake(short_folder: Path, printed: Printed) -> None:
    _write(f"data = {short_folder}")
    assert cli.main(["pools"]) == 2
    (line,) = printed()[1]
    assert str(short_folder) in line
    assert "cticache serve" in line


@pytest.mark.parametrize("command", ["check", "pools", "advise", "explain"])
def test_what_an_imitation_cannot_do_is_said(
    command: str, short_folder: Path, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where it lives in the process that serves: that it is not running would be wrong, and no help."""
    monkeypatch.setattr("cticache.commands.opening.is_imitated", lambda: True)
    _write(f"data = {short_folder}")
    assert cli.main([command, *(["100", "1"] if command == "explain" else [])]) == 2
    (line,) = printed()[1]
    assert "not running" not in line
    for piece in ("[redis] url is empty", "an imitation", "No other command can look into it", "/cticache/pools"):
        assert piece in line


@pytest.mark.skipif(sys.platform == "win32", reason="an imitation serves there")
def test_check_starts_the_embedded_server_and_stops_it(short_folder: Path, printed: Printed) -> None:
    _write(f"data = {short_folder}")
    assert cli.main(["check"]) == 0
    out, err = printed()
    assert not err
    answers, starts, keeps, form, well = out[-5:]
    assert answers.startswith("Redis: ")
    assert answers.endswith(" answers")
    assert starts == (
        "  no [redis] url is set, so it is the embedded server: `cticache serve` starts it, and stops it at its end; "
        "where it does not run, it was started for this check alone"
    )
    assert keeps == f"  its data is in {short_folder}; it is for a first try: then give [redis] url a Redis"
    assert form.endswith(f"; this release writes {FORMAT}")
    assert well == "all well"
    with connect(socket_url(short_folder), 1) as client:
        assert not _pings(client)


_CHECK_ENDED_BY = """
import signal, sys
from cticache import cli
from cticache.operate import doctor
doctor.complaints = lambda client: signal.raise_signal(getattr(signal, sys.argv[1]))
sys.exit(cli.main(["check"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_check_that_a_signal_ends_leaves_no_server_behind(end: str, short_folder: Path) -> None:
    _write(f"data = {short_folder}")
    done = forked.run(end, code=_CHECK_ENDED_BY)
    assert (done.returncode, done.stderr) == (1, "")
    assert "all well" not in done.stdout
    with connect(socket_url(short_folder), 1) as client:
        assert not _pings(client)


def _pings(client: Redis) -> bool:
    from redis.exceptions import RedisError

    try:
        return bool(client.ping())
    except RedisError:
        return False
