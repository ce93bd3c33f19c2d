import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from redis.connection import SSLConnection

from cticache import config
from cticache.access.networks import Networks
from cticache.access.origins import Origins
from cticache.access.passwords import hashed
from cticache.config import SAMPLE
from cticache.config.sections import SECTIONS, Config, RedisConfig, ServerConfig
from cticache.errors import ConfigError
from cticache.link.connection import connect
from cticache.link.redis_url import addresses, node_url
from cticache.numbering.country import Country
from cticache.operate.attention import WatchRules

_UNIX = pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets there")
HASH = hashed("secret-word")
OTHER_HASH = hashed("another-word")
PROXIES = Networks.parse("10.0.0.5 192.168.0.0/16 fd00::/8")
POOL = "[pool:x]\nnumbers = 1-9\n"
USER = f"[user:bob]\npassword = {HASH}\n"


def _read(folder: Path, text: str | bytes, environment: dict[str, str] | None = None) -> Config:
    path = folder / "config.ini"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return config.read(path, environment or {})


def _fault(folder: Path, text: str | bytes, environment: dict[str, str] | None = None) -> str:
    """The one line that tells what is wrong; it ends in no blank and shows no secret."""
    with pytest.raises(ConfigError) as caught:
        _read(folder, text, environment)
    line = str(caught.value)
    assert len(line.splitlines()) == 1, line
    assert line == line.strip()
    assert "secret-word" not in line
    assert "$argon2" not in line
    return line


def test_a_good_file_is_read(tmp_path: Path) -> None:
    read = _read(
        tmp_path,
        f"""\
[server]
host = 0.0.0.0
port = 0
workers = 3
dispatch = threads
threads = 2
max_body = 1024
connections = 50
connections_per_address = 20
header_timeout = 5
body_timeout = 15
idle_timeout = 10
drain = 3
stop_timeout = 8
auth_cache = 0
auth_cache_size = 5
auth_queue = 6
auth_threads = 40
figures_age = 1.5
figures_timeout = 2.5
page_refresh = 0.5
refusal_lines = 7
refusal_burst = 8
auth_wait = 2.5
auth_failures = 7
trusted_proxy = 10.0.0.5, 192.168.0.0/16
    fd00::/8
origins = cti.example.com, https://CTI.example.com:8443
get_writes = yes
single_quotes = yes
audit = no
audit_key = sixteen-letters-
[redis]
url = rediss://:p%40ss@redis.example:6380/3
timeout = 0.25
probe = 0.75
prefix = other
sync_interval = 10
retry_after = 7
data = ~/data
[watch]
interval = 3
warn = 60
crit = 80
missed = 30
unclaimed = 4
logins = 7
strangers = 8
[pool:a]
numbers = 100-199, +300
draining = 150-159
ttl = 60
max_ttl = 120
cooldown = 0
exhausted = reject
share_scan = 8
max_callers = 3
match = sole
match_digits = 9
country_code = 44
withheld = +266696687, 0000000000,  No Caller  ID
    Anonymous
without_data = +8
uui = yes
dnis_digits = 3
retry_window = 4
remember = 30
after_loss = 90
[pool:B_2.c-d]
numbers = 900
exhausted = fallback
fallback = +7
without_data = +8
[user:bob]
password = {HASH}
pools = a, B_2.c-d
roles = lease watch
max_live = 6
networks = 10.0.0.5 192.168.0.0/16
    fd00::/8
password_next = {OTHER_HASH}
[user:eve]
token = sha256:{"a" * 64}, SHA256:{"B" * 64}
    sha256:{"0" * 64}
""",
    )
    assert read.source == tmp_path / "config.ini"
    assert read.server == ServerConfig(
        "0.0.0.0",
        0,
        3,
        "threads",
        2,
        1024,
        50,
        20,
        5,
        15,
        10,
        3,
        8,
        0,
        5,
        40,
        6,
        2.5,
        7,
        PROXIES,
        1.5,
        2.5,
        0.5,
        7,
        8,
        Origins.parse("https://cti.example.com:8443 cti.example.com"),
        True,
        True,
        False,
        "sixteen-letters-",
    )
    assert read.redis == RedisConfig("rediss://:p%40ss@redis.example:6380/3", 0.25, 0.75, "other", 10.0, 7, "~/data")
    assert read.watch == WatchRules(3, 60, 80, 30, 4, 7, 8)
    a, b = read.pools
    assert (a.name, b.name) == ("a", "B_2.c-d")
    assert (str(a.numbers), str(a.draining)) == ("100-149, 160-199, +300", "150-159")
    assert (a.ttl_ms, a.max_ttl_ms, a.cooldown_ms) == (60_000, 120_000, 0)
    assert (a.exhausted, a.share_scan, a.max_callers) == ("reject", 8, 3)
    assert (a.match, a.match_digits, a.dnis_digits, a.retry_window_ms, a.remember_ms) == ("sole", 9, 3, 4_000, 30_000)
    assert (a.after_loss_ms, b.after_loss_ms) == (90_000, b.ttl_ms + 60_000)
    assert (a.without_data, b.without_data, a.uui, b.uui) == ("+8", "+8", True, False)
    assert a.country == Country.of("44")
    assert a.withheld == ("+266696687", "0000000000", "no caller id", "anonymous")
    assert (b.exhausted, b.fallback, b.country, b.withheld, b.dnis_digits) == ("fallback", "+7", None, (), 0)
    bob, eve = read.users
    assert (bob.max_live, eve.max_live) == (6, 0)
    assert (bob.networks, bob.hashes, bob.token) == (PROXIES, (HASH, OTHER_HASH), frozenset())
    assert (eve.networks, eve.hashes, eve.token) == (Networks(), (), {"a" * 64, "b" * 64, "0" * 64})
    assert (bob.name, bob.password, bob.pools, bob.roles) == ("bob", HASH, {"a", "B_2.c-d"}, {"lease", "watch"})
    assert (eve.name, eve.pools, eve.roles) == ("eve", None, {"lease", "read", "take"})


def test_the_shipped_file_has_the_values_that_apply_without_it(tmp_path: Path) -> None:
    shipped = config.read(SAMPLE, {})
    (pool,) = shipped.pools
    bare = _read(tmp_path, f"[pool:system-y]\nnumbers = {pool.numbers}\n")
    assert (shipped.server, shipped.redis, shipped.users) == (bare.server, bare.redis, bare.users)
    for option in {field.name for field in fields(pool)} - {"numbers", "draining"}:
        assert getattr(pool, option) == getattr(bare.pools[0], option), option
    assert str(pool.numbers) == str(bare.pools[0].numbers)
    assert not pool.draining
    assert not bare.pools[0].draining


def test_the_shipped_file_shows_every_option_with_a_comment() -> None:
    shown: dict[str, set[str]] = {}
    for line in SAMPLE.read_text("utf-8").splitlines():
        if section := re.fullmatch(r"(?:; )?\[(\w+)(?::[\w-]+)?\]", line):
            options = shown.setdefault(section[1], set())
        elif option := re.match(r"(?:; )?([a-z_]+) =.*; \S", line):
            options.add(option[1])
    known = {name: set(section.options) for name, section in SECTIONS.items()}
    known["pool"] -= {"numbers"}
    shown["pool"] -= {"numbers"}  # its range and its number stand beside the comment
    assert shown == known


def test_a_user_section_made_from_the_shipped_comments_is_read(tmp_path: Path) -> None:
    text = SAMPLE.read_text("utf-8").replace("$argon2id$...", HASH).replace("sha256:...", f"sha256:{'0' * 64}")
    commented = re.sub(
        r"(?m)^; (\[user:|(?:password|password_next|token|networks|pools|roles|max_live) =)", r"\1", text
    )
    (user,) = _read(tmp_path, commented).users
    token = f"token = sha256:{'0' * 64}\nmax_live = 100\n"  # the only other option that is not as by default
    defaults = _read(tmp_path, POOL + f"[user:username]\npassword = {HASH}\n{token}").users[0]
    assert user == defaults


class Wrong(NamedTuple):
    """An option's wrong value, and what must be said of what is allowed."""

    section: str
    option: str
    value: str
    allowed: str


_WHOLE = [
    ("server", "port", "0 to 65535", "65536"),
    ("server", "workers", "processes, 1 to 64", "65"),
    ("server", "threads", "1 to 256", "0"),
    ("server", "max_body", "bytes, 64 to 16777216", "63"),
    ("server", "connections", "1 to 100000", "100001"),
    ("server", "connections_per_address", "1 to 100000", "0"),
    ("server", "header_timeout", "seconds, 1 to 3600", "0"),
    ("server", "body_timeout", "seconds, 1 to 3600", "3601"),
    ("server", "idle_timeout", "seconds, 1 to 3600", "0"),
    ("server", "drain", "seconds, 0 to 3600", "3601"),
    ("server", "stop_timeout", "seconds, 0 to 600", "601"),
    ("log", "repeat", "seconds, 1 to 86400", "0"),
    ("log", "file_size", "MB, 1 to 100000", "0"),
    ("log", "file_days", "days, 1 to 3650", "0"),
    ("log", "file_count", "files, 1 to 10000", "0"),
    ("server", "auth_cache", "seconds, 0 to 3600", "3601"),
    ("server", "auth_cache_size", "1 to 1000000", "0"),
    ("server", "auth_queue", "1 to 10000", "0"),
    ("server", "auth_threads", "threads, 2 to 10000", "1"),
    ("server", "refusal_lines", "lines a second, 1 to 1000000", "0"),
    ("server", "refusal_burst", "lines, 1 to 1000000", "0"),
    ("server", "auth_failures", "a minute, 1 to 1000000", "0"),
    ("redis", "retry_after", "seconds, 1 to 3600", "0"),
    ("watch", "interval", "seconds, 1 to 60", "61"),
    ("watch", "warn", "percent, 1 to 100", "101"),
    ("watch", "crit", "percent, 1 to 100", "0"),
    ("watch", "missed", "percent, 1 to 100", "0"),
    ("watch", "unclaimed", "leases, 3 to 1000", "2"),
    ("watch", "logins", "a minute, 1 to 1000000", "0"),
    ("watch", "strangers", "a minute, 1 to 1000000", "0"),
    ("pool:x", "ttl", "seconds, 1 to 86400", "0"),
    ("pool:x", "max_ttl", "seconds, 1 to 86400", "86401"),
    ("pool:x", "cooldown", "seconds, 0 to 86400", "86401"),
    ("pool:x", "share_scan", "numbers, 1 to 1000", "0"),
    ("pool:x", "max_callers", "callers, 1 to 1000", "1001"),
    ("pool:x", "match_digits", "digits, 1 to 32", "0"),
    ("pool:x", "dnis_digits", "digits, 1 to 32", "33"),
    ("pool:x", "retry_window", "seconds, 0 to 3600", "3601"),
    ("pool:x", "remember", "seconds, 1 to 3600", "0"),
    ("pool:x", "after_loss", "seconds, 0 to 86400", "-1"),
    ("user:bob", "max_live", "leases, 1 to 1000000", "0"),
]
_BAD_WHOLES = ["-1", "1.0", "1e3", "ten", "1_000", "0x10", "", "\u0661", "9" * 5000]
_BAD_SECONDS = ["0", "0.0", "-1", "1e3", "inf", "nan", "1,5", "", "\u0661", "1 s"]
_WRONG = [
    *(Wrong(section, option, value, allowed) for section, option, allowed, value in _WHOLE),
    *(Wrong("server", "port", value, "whole number, 0 to 65535") for value in _BAD_WHOLES),
    *(Wrong("redis", "timeout", value, "seconds above 0") for value in _BAD_SECONDS),
    Wrong("server", "dispatch", "greenlets", "batch, threads"),
    Wrong("redis", "probe", "0", "seconds above 0"),
    Wrong("watch", "crit", "74", "must be at least warn = 75"),
    Wrong("server", "auth_wait", "0", "seconds above 0"),
    Wrong("server", "figures_age", "0", "seconds above 0"),
    Wrong("server", "figures_timeout", "0", "seconds above 0"),
    Wrong("server", "page_refresh", "0", "seconds above 0"),
    Wrong("redis", "sync_interval", "0", "seconds above 0"),
    Wrong("server", "host", "", "must not be empty"),
    *(
        Wrong("server", "host", host, "must be a name or an address alone, without a scheme or brackets; the port is")
        for host in ("localhost:8080", "127.0.0.1:80", "[::1]", "[::1]:80", "http://localhost", ":80")
    ),
    Wrong("redis", "prefix", "a{b}", "1 to 64 of A-Z a-z 0-9 _ . -"),
    Wrong("redis", "prefix", "a:b", "1 to 64 of A-Z a-z 0-9 _ . -"),
    Wrong("redis", "prefix", "x" * 65, "1 to 64 of A-Z a-z 0-9 _ . -"),
    Wrong("redis", "prefix", "", "1 to 64 of A-Z a-z 0-9 _ . -"),
    Wrong("pool:x", "numbers", "9-1", "backwards"),
    Wrong("pool:x", "numbers", "12-345", "equally many digits"),
    Wrong("pool:x", "numbers", "five", "5551234560-5551234599"),
    Wrong("pool:x", "numbers", "0000000-9999999", "5000000 allowed"),
    Wrong("pool:x", "numbers", f"{'0' * 30}-{'9' * 30}", "5000000 allowed"),
    Wrong("pool:x", "numbers", "020 7946 0001", "'020 7946 0001' has a space inside: write one number without spaces"),
    Wrong("pool:x", "draining", "x", "'x' is not a number"),
    Wrong("pool:x", "draining", "1, 020 7946", "'020 7946' has a space inside"),
    Wrong("pool:x", "exhausted", "never", "share, reject"),
    Wrong("pool:x", "exhausted", "Share", "share, reject"),
    Wrong("server", "audit", "on", "yes or no"),
    Wrong("server", "get_writes", "1", "yes or no"),
    Wrong("server", "single_quotes", "true", "yes or no"),
    *(
        Wrong("server", "origins", f"cti.example.com, {word}", f"has {word}, which is no host such as cti.example.com")
        for word in ("https://", "cti.example.com/", "ftp://cti.example.com", "bob@cti.example.com", "a?b", "*")
    ),
    Wrong(
        "server", "trusted_proxy", "10.0.0.5, proxy.example", "'proxy.example' is no IP address or network: write it"
    ),
    Wrong("server", "trusted_proxy", "10.0.0.5/33", "'10.0.0.5/33' is no IP address or network"),
    Wrong("server", "trusted_proxy", "10.0.0.5/8", "'10.0.0.5/8' has bits set beyond its mask: write 10.0.0.0/8 for"),
    Wrong("server", "trusted_proxy", "::1, 0.0.0.0/0", "'0.0.0.0/0' trusts everybody: name the proxies alone"),
    Wrong("server", "trusted_proxy", "::/0", "'::/0' trusts everybody"),
    Wrong("server", "trusted_proxy", "::ffff:0.0.0.0/96", "'::ffff:0.0.0.0/96' trusts everybody"),
    Wrong("server", "trusted_proxy", "10.0.0.5:80", "'10.0.0.5:80' is no IP address or network"),
    Wrong("server", "trusted_proxy", "*", "'*' is no IP address or network"),
    Wrong("log", "format", "xml", "text, json"),
    Wrong("log", "level", "INFO", "debug, info, warning, error"),
    Wrong("pool:x", "match", "loose", "exact, suffix, sole"),
    Wrong("pool:x", "match", "sole", "needs exhausted = reject, for one caller a number; exhausted is share"),
    Wrong("pool:x", "country_code", "9999", "calling code"),
    Wrong("pool:x", "country_code", "US", "calling code"),
    Wrong("pool:x", "fallback", "five", "one number of 1 to 32 digits"),
    Wrong("pool:x", "fallback", "020 7946 0001", "has a space inside: write one number without spaces, as in 0207"),
    Wrong("pool:x", "fallback", "5550001, 5550002", "must be one number of 1 to 32 digits"),
    Wrong("pool:x", "fallback", "5550001-5550002", "must be one number of 1 to 32 digits"),
    Wrong("pool:x", "fallback", "5", "is a number of [pool:x]; the fallback must be a number of no pool"),
    Wrong("pool:x", "fallback", "+5", "is the same number as 5, but for the plus; the fallback must be a number of no"),
    Wrong("pool:x", "fallback", "555-1234", "or empty; if this is one number, write it without dashes, as in 5551234"),
    Wrong("pool:x", "without_data", "five", "one number of 1 to 32 digits"),
    Wrong("pool:x", "without_data", "5550001-5550002", "must be one number of 1 to 32 digits"),
    Wrong("pool:x", "without_data", "5", "is a number of [pool:x]; without_data must be a number of no pool, on which"),
    Wrong("pool:x", "without_data", "+5", "is the same number as 5 of [pool:x], but for the plus; without_data must"),
    Wrong("pool:x", "uui", "1", "yes or no"),
    Wrong("pool:x", "numbers", "1-9 # nine", "a comment after a value begins with ; and not with #"),
    Wrong("pool:x", "ttl", "300 # seconds", "to 86400; a comment after a value begins with ; and not with #"),
    Wrong("pool:x", "withheld", "*", "'*' is no word or number as a carrier sends it, such as No Caller ID"),
    Wrong("pool:x", "withheld", ",,", "has a comma with nothing before it"),
    Wrong("pool:x", "withheld", "No Caller ID, , 0000000000", "has a comma with nothing before it"),
    Wrong("pool:x", "withheld", "No Caller ID; 0000000000", "has a semicolon inside: put a comma or a new line"),
    Wrong("pool:x", "withheld", "No Caller ID # x", "and not with #"),
    Wrong("pool:x", "withheld", "000-000-0000", "write it without dashes, as in 0000000000"),
    Wrong("pool:x", "withheld", "0" * 33, "is not one number of 1 to 32 digits, such as +266696687"),
    Wrong("pool:x", "withheld", "0, ++266696687", "'++266696687' is not one number"),
    Wrong("pool:x", "withheld", "0000-0009", "'0000-0009' is not one number"),
    Wrong("pool:x", "withheld", "No Caller ID, 0000000000 +266696687", "'0000000000 +266696687' has a space inside"),
    Wrong("pool:x", "withheld", '"No Caller ID"', "give the word or the number alone, such as No Caller ID"),
    Wrong("pool:x", "withheld", "sip:asterisk@10.0.0.1", "'sip:asterisk@10.0.0.1' has something around it"),
    Wrong("pool:x", "withheld", "tel:+266696687", "'tel:+266696687' has something around it"),
    Wrong(
        "pool:x", "withheld", "7", "is a number of the pool itself; one that is not to be leased belongs in draining"
    ),
    Wrong("pool:x", "withheld", "\u0660\u0660\u0660\u0660", "is not one number of 1 to 32 digits"),
    Wrong("pool:x", "withheld", "x" * 257, "must not be longer than 256 characters"),
    Wrong("user:bob", "roles", "lease, root", "lease, read, take, watch, admin"),
    Wrong("user:bob", "pools", "y", "there are x"),
    Wrong("user:bob", "networks", "10.0.0.0/24, office", "'office' is no IP address or network: write it as in"),
]


def _name(wrong: Wrong) -> str:
    return f"{wrong.section} {wrong.option} {wrong.value[:12].encode('ascii', 'backslashreplace').decode()}"


@pytest.mark.parametrize("wrong", _WRONG, ids=_name)
def test_a_wrong_value_is_told_with_its_place_and_what_is_allowed(tmp_path: Path, wrong: Wrong) -> None:
    sections = {
        "server": {},
        "redis": {},
        "watch": {},
        "log": {},
        "pool:x": {"numbers": "1-9"},
        "user:bob": {"password": HASH},
    }
    sections[wrong.section][wrong.option] = wrong.value
    text = "".join(
        f"[{name}]\n" + "".join(f"{option} = {value}\n" for option, value in options.items())
        for name, options in sections.items()
    )
    line = _fault(tmp_path, text)
    assert line.startswith(f"{tmp_path / 'config.ini'}: [{wrong.section}] {wrong.option} = {wrong.value}: ".strip())
    assert wrong.allowed in line


@pytest.mark.parametrize("wrong", _WRONG, ids=_name)
def test_a_wrong_value_in_the_environment_is_told_with_its_variable(tmp_path: Path, wrong: Wrong) -> None:
    variable = f"CTICACHE_{wrong.section}_{wrong.option}".upper().replace(":", "_")
    line = _fault(tmp_path, POOL + USER, {variable: wrong.value})
    assert line.startswith(f"environment variable {variable} = {wrong.value}: ")
    assert wrong.allowed in line


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://secret-word@h", "redis://, rediss:// or unix://"),
        ("h:6379/secret-word", "redis://, rediss:// or unix://"),
        ("redis+sentinels://secret-word@h1:26379,h2:26379/main", "redis+sentinel:// or redis+cluster://"),
        ("unix+cluster://secret-word@h1:6379,h2:6379", "redis+sentinel:// or redis+cluster://"),
    ],
    ids=["scheme", "no scheme", "Sentinel", "Cluster"],
)
def test_a_wrong_url_is_told_but_not_shown(tmp_path: Path, url: str, allowed: str) -> None:
    line = _fault(tmp_path, f"[redis]\nurl = {url}\n{POOL}")
    assert line.startswith(f"{tmp_path / 'config.ini'}: [redis] url: ")
    assert allowed in line
    assert _fault(tmp_path, POOL, {"CTICACHE_REDIS_URL": url}).startswith("environment variable CTICACHE_REDIS_URL: ")


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("redis://:secret-word@h:0", "port must be 1 to 65535"),
        ("redis://:secret-word@h:65536", "port must be 1 to 65535"),
        ("redis://:secret-word@h:port", "port must be 1 to 65535"),
        ("redis://:secret-word/x@h:6379/0", "port must be 1 to 65535"),  # a slash in the password, not escaped
        ("redis://:secret-word@::1", "IPv6 address stand in brackets"),
        ("redis://:secret-word@[::1", "IPv6 address stand in brackets"),
        ("redis://:secret-word@", "name or address of a host"),
        ("redis://:secret-word@:6379/0", "name or address of a host"),
        ("redis://", "name or address of a host"),
        ("redis://?secret-word@h", "after the ? there may be db"),
        ("redis://a..b:6379", "name or address of a host"),
        (f"redis://{'x' * 64}.example", "name or address of a host"),
        ("redis://a%00b", "name or address of a host"),
        ("redis://a%20b", "name or address of a host"),
        ("redis://h%3a1", "name or address of a host"),
        ("redis://h1,h2", "name or address of a host"),
        ("redis://h secret-word", "a space, a # or a character that cannot be printed"),
        ("redis://:secret-word@h\n  /0", "a space, a # or a character that cannot be printed"),
        ("redis://:secret-word#x@h/0", "a space, a # or a character that cannot be printed"),
        ("redis://h:6379/secret-word", "number of a database, such as /0"),
        ("redis://h/1/2", "number of a database, such as /0"),
        ("redis://h/-1", "number of a database, such as /0"),
        ("redis://h/\u0661", "number of a database, such as /0"),
        ("redis://h/123456", "number of a database, such as /0"),
        ("redis://h/1?db=1", "given twice"),
        ("redis://h?db=1&db=2", "after the ? there may be db, each once"),
        ("redis://h?db=secret-word", "db must be a whole number"),
        ("redis://h?db=", "db must be a whole number"),
        ("redis://h?db", "after the ? there may be db"),
        ("redis://h?password=secret-word", "after the ? there may be db"),
        ("redis://h?secret-word=1", "after the ? there may be db"),
        ("redis://h?protocol=7", "after the ? there may be db"),
        ("redis://h?socket_timeout=60", "after the ? there may be db"),
        ("redis://h?decode_responses=0", "after the ? there may be db"),
        ("redis://h?ssl_cert_reqs=none", "options of TLS need rediss://"),
        ("rediss://h?foo=bar", "after the ? there may be db, ssl_ca_certs, "),
        ("rediss://h?ssl_cert_reqs=secret-word", "ssl_cert_reqs must be none, optional or required"),
        ("rediss://h?ssl_check_hostname=maybe", "ssl_check_hostname must be true or false"),
        ("rediss://h?ssl_ca_certs=/none/secret-word", "ssl_ca_certs must be a file that is there"),
        ("rediss://h?ssl_certfile=%00", "ssl_certfile must be a file that is there"),
        (f"rediss://h?ssl_keyfile={'x' * 5000}", "ssl_keyfile must be a file that is there"),
        (f"rediss://h?ssl_keyfile={SAMPLE}", "ssl_keyfile needs ssl_certfile"),
        ("unix://", "absolute path of a socket"),
        ("unix:///", "absolute path of a socket"),
        ("unix:///secret-word/", "absolute path of a socket"),
        ("unix://secret-word/x.sock", "absolute path of a socket"),
        ("unix://secret-word:1/x.sock", "absolute path of a socket"),
        ("unix:///a%00b", "absolute path of a socket"),
        ("unix:///a?ssl_cert_reqs=none", "options of TLS need rediss://"),
        ("redis+sentinel://:secret-word@h1:0,h2/main", "port must be 1 to 65535"),
        ("redis+sentinel://:secret-word@h1,h2:65536/main", "port must be 1 to 65535"),
        ("redis+sentinel://:secret-word@h1,[::1/main", "IPv6 address stand in brackets"),
        ("redis+sentinel://:secret-word@h1,,h2/main", "name or address of a host, or of several with commas"),
        ("redis+sentinel:///secret-word", "name or address of a host, or of several with commas"),
        ("redis+sentinel://h1,h2", "name that they have for the primary, such as /mymaster"),
        ("redis+sentinel://h1,h2/", "name that they have for the primary, such as /mymaster"),
        ("redis+sentinel://:secret-word@h1,h2//0", "name that they have for the primary, such as /mymaster"),
        ("redis+sentinel://h1,h2/secret%2Fword", "name that they have for the primary, such as /mymaster"),
        ("redis+sentinel://h1,h2/main/secret-word", "number of a database, such as /0"),
        ("redis+sentinel://h1,h2/main/1/2", "number of a database, such as /0"),
        ("redis+sentinel://h1,h2/main/1?db=1", "given twice"),
        (
            "redis+sentinel://h1/main?password=secret-word",
            "there may be db, sentinel_username, sentinel_password, each",
        ),
        ("redis+sentinel://h1/main?sentinel_password=", "sentinel_password must be a password"),
        ("redis+sentinel://h1/main?ssl_cert_reqs=none", "options of TLS need rediss:// or rediss+"),
        ("redis+cluster://:secret-word@h1:6379,h2:x", "port must be 1 to 65535"),
        ("redis+cluster://", "name or address of a host, or of several with commas"),
        ("redis+cluster://h1,secret word", "a space, a # or a character"),
        ("redis+cluster://h1,h2/0", "a cluster has no databases"),
        ("redis+cluster://h1,h2/secret-word", "a cluster has no databases"),
        ("redis+cluster://h1,h2?db=0", "after the ? there may be nothing; options of TLS need"),
        ("rediss+cluster://h1,h2?db=0", "after the ? there may be ssl_ca_certs, "),
        ("rediss+cluster://h1?ssl_cert_reqs=secret-word", "ssl_cert_reqs must be none, optional or required"),
        ("redis://:secret-word@h1,h2", "name or address of a host; write"),
    ],
)
def test_a_url_that_redis_py_would_misread_is_told_but_not_shown(tmp_path: Path, url: str, wrong: str) -> None:
    line = _fault(tmp_path, f"[redis]\nurl = {url}\n{POOL}")
    assert line.startswith(f"{tmp_path / 'config.ini'}: [redis] url: cannot be read: ")
    assert wrong in line or "unix:// cannot be used on Windows" in line
    pattern = {"sentinel": "@sentinel1:26379,sentinel2:26379/name/0", "cluster": "@node1:6379,node2:6379"}
    assert pattern.get(url.partition(":")[0].partition("+")[2], "redis://user:password@host:6379/0") in line


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("redis://h", {"host": "h"}),
        ("redis://h/", {"host": "h"}),
        ("redis://my_redis.example.:6380/3", {"host": "my_redis.example.", "port": 6380, "db": 3}),
        ("redis://b%C3%BCcher.example", {"host": "b\u00fccher.example"}),
        ("redis://bob:p%40%2F%23s@[::1]:1/0", {"host": "::1", "username": "bob", "password": "p@/#s"}),
        ("redis://[fe80::1%25eth0]", {"host": "fe80::1%eth0"}),
        ("redis://h?db=2", {"host": "h", "db": 2}),
        ("rediss://h/1?ssl_cert_reqs=optional", {"ssl_cert_reqs": "optional", "db": 1}),
        ("rediss://h?ssl_cert_reqs=none&ssl_check_hostname=false", {"ssl_cert_reqs": "none"}),
        ("rediss://h?ssl_check_hostname=false", {"ssl_check_hostname": False}),
        ("rediss://h?ssl_check_hostname=true", {"ssl_check_hostname": True}),
        pytest.param("unix://bob:pw@/a%20b.sock?db=1", {"path": "/a b.sock", "db": 1, "password": "pw"}, marks=_UNIX),
    ],
)
def test_a_url_means_to_redis_py_what_it_says(tmp_path: Path, url: str, meant: dict[str, object]) -> None:
    read = _read(tmp_path, f"[redis]\nurl = {url}\n{POOL}").redis.url
    with connect(read, 0.5) as client:
        connection = client.connection_pool.make_connection()
    options = client.get_connection_kwargs()
    assert {name: options.get(name) for name in meant} == meant
    assert options["decode_responses"] is True
    assert (options["socket_timeout"], options["protocol"]) == (0.5, 2)
    assert isinstance(connection, SSLConnection) == url.startswith("rediss")


@pytest.mark.parametrize(
    ("url", "meant", "sentinels"),
    [
        ("redis+sentinel://h1,h2:1/main", {"db": 0}, [("h1", 26379), ("h2", 1)]),
        (
            "redis+sentinel://bob:p%40%2F%2C@[::1]:1,h2/my.master-1/3",
            {"username": "bob", "password": "p@/,", "db": 3},
            [("::1", 1), ("h2", 26379)],
        ),
        ("redis+sentinel://h1/main?db=2", {"db": 2}, [("h1", 26379)]),
        ("rediss+sentinel://h1/main?ssl_check_hostname=false", {"ssl_check_hostname": False}, [("h1", 26379)]),
        ("redis+sentinel://:p@h1/main?sentinel_username=s&sentinel_password=p%2Fw", {"password": "p"}, [("h1", 26379)]),
    ],
)
def test_a_url_of_sentinels_means_to_redis_py_what_it_says(
    tmp_path: Path, url: str, meant: dict[str, object], sentinels: list[tuple[str, int]]
) -> None:
    read = _read(tmp_path, f"[redis]\nurl = {url}\n{POOL}").redis.url
    with connect(read, 0.5) as client:
        pool = client.connection_pool
        connection = pool.make_connection()
    options = [client.get_connection_kwargs()]
    assert {name: options[0].get(name, 0) for name in meant} == meant
    options += [one.get_connection_kwargs() for one in pool.sentinel_manager.sentinels]  # type: ignore[attr-defined]
    assert [(one["host"], one["port"]) for one in options[1:]] == sentinels
    for one in options:
        assert (one["socket_timeout"], one["socket_connect_timeout"], one["protocol"]) == (0.5, 0.5, 2)
        assert one["retry"].get_retries() == 0
    for one in options[1:]:
        own = ("s", "p/w") if "sentinel_password" in url else (None, None)
        assert (one.get("username"), one.get("password")) == own
    assert isinstance(connection, SSLConnection) == url.startswith("rediss")


@pytest.mark.parametrize(
    ("url", "nodes", "of_one"),
    [
        ("redis+cluster://h1,h2:1/", [("h1", 6379), ("h2", 1)], "redis://10.0.0.1:7000/0?"),
        ("redis+cluster://bob:p%40,@[::1]:1", [("::1", 1)], "redis://bob:p%40,@10.0.0.1:7000/0?"),
        (
            "rediss+cluster://:p@h1?ssl_cert_reqs=none",
            [("h1", 6379)],
            "rediss://:p@10.0.0.1:7000/0?ssl_cert_reqs=none",
        ),
    ],
)
def test_a_url_of_a_cluster_is_one_of_each_node(
    tmp_path: Path, url: str, nodes: list[tuple[str, int]], of_one: str
) -> None:
    read = _read(tmp_path, f"[redis]\nurl = {url}\n{POOL}").redis.url
    assert addresses(read) == nodes
    assert node_url(read, ("10.0.0.1", 7000)) == of_one
    with connect(node_url(read, ("fe80::1%eth0", 1)), 0.5) as client:
        assert client.get_connection_kwargs()["host"] == "fe80::1%eth0"


@pytest.mark.parametrize(
    "password",
    ["secret-word", "", "$argon2id$secret-word", HASH[:40].replace("argon2id", "argon2i") + "secret-word"],
    ids=["plain text", "empty", "cut hash", "argon2i"],
)
def test_a_password_that_is_no_hash_is_told_but_not_shown(tmp_path: Path, password: str) -> None:
    line = _fault(tmp_path, POOL + f"[user:bob]\npassword = {password}\n")
    assert line.startswith(f"{tmp_path / 'config.ini'}: [user:bob] password: must be a hash")
    assert "cticache user NAME" in line
    line = _fault(tmp_path, POOL + USER, {"CTICACHE_USER_BOB_PASSWORD": password})
    assert line.startswith("environment variable CTICACHE_USER_BOB_PASSWORD: must be a hash")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::1", "fe80::1%eth0", "my-host.example", "localhost"])
def test_a_host_is_a_name_or_an_address_of_either_kind(tmp_path: Path, host: str) -> None:
    assert _read(tmp_path, f"[server]\nhost = {host}\n{POOL}").server.host == host


_MISSING = "must be a hash as `cticache user NAME` prints it, whole: a part of this one is missing"


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 21, 40])
def test_a_hash_that_is_cut_is_told_but_not_shown(tmp_path: Path, cut: int) -> None:
    line = _fault(tmp_path, f"{POOL}[user:bob]\npassword = {HASH[:-cut]}\n")
    assert line == f"{tmp_path / 'config.ini'}: [user:bob] password: {_MISSING}"


@pytest.mark.parametrize(
    "wrong",
    [
        HASH + "A",
        HASH.replace("$m=19456,", "$m=7,"),
        HASH.replace("$m=19456,", "$m=019456,"),
        HASH.replace("$v=19$", "$v=1$"),
        HASH.replace("$v=19$", "$"),
        re.sub(r"\$[^$]*\$([^$]*)$", r"$c2hvcnQ$\1", HASH),
        HASH[:-1] + chr(ord(HASH[-1]) + 1),
    ],
    ids=[
        "a character more",
        "less memory than argon2 takes",
        "a zero before a number",
        "an unknown version",
        "no version",
        "a short salt",
        "bits in the last character that no byte has",
    ],
)
def test_a_hash_that_argon2_would_refuse_with_every_login_is_told(tmp_path: Path, wrong: str) -> None:
    with pytest.raises((InvalidHashError, VerificationError)):
        PasswordHasher().verify(wrong, "secret-word")
    assert "must be a hash as `cticache user NAME` prints it, whole" in _fault(
        tmp_path, f"{POOL}[user:bob]\npassword = {wrong}\n"
    )


def test_a_comment_behind_a_hash_is_told(tmp_path: Path) -> None:
    line = _fault(tmp_path, f"{POOL}[user:bob]\npassword = {HASH} # of Bob\n")
    assert line.endswith("; a comment after a value begins with ; and not with #")
    assert HASH not in line


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (
            "[pool:x]\nnumbers = 1\nexhausted = fallback\n",
            ["[pool:x] fallback", "give the number for callers beyond the pool's own"],
        ),
        (
            "[pool:x]\nnumbers = 1\nfallback = 3\n[pool:y]\nnumbers = 2\ndraining = 3\n",
            ["[pool:x] fallback = 3", "is a number of [pool:y]"],
        ),
        (
            "[pool:x]\nnumbers = 1\nfallback = 3\n[pool:y]\nnumbers = 2\nfallback = 4\n[pool:z]\nnumbers = 5\n"
            "draining = 4\n",
            ["[pool:y] fallback = 4", "is a number of [pool:z]"],
        ),
        (
            "[pool:x]\nnumbers = 1\nmatch = sole\nexhausted = fallback\nfallback = 3\n",
            ["[pool:x] match = sole", "exhausted is fallback"],
        ),
        (
            "[pool:x]\nnumbers = 15551234567\ndraining = 24567\ndnis_digits = 4\n",
            ["[pool:x] dnis_digits = 4", "15551234567", "24567", "apart"],
        ),
        (
            "[pool:x]\nnumbers = 10-19\nfallback = 119\ndnis_digits = 2\n",
            ["[pool:x] dnis_digits = 2", "19", "119", "apart"],
        ),
        (
            "[pool:x]\nnumbers = 1\ndraining = 3\nwithheld = No Caller ID, 0, 3\n",
            ["[pool:x] withheld = 3: is a number of the pool"],
        ),
        (
            "[pool:x]\nnumbers = 1\nfallback = +3\nwithheld = 0, +3\n",
            ["[pool:x] withheld = +3: is a number of the pool"],
        ),
    ],
    ids=[
        "no fallback",
        "another's draining",
        "a second's",
        "sole and fallback",
        "ending",
        "the fallback's ending",
        "withheld and draining",
        "withheld and fallback",
    ],
)
def test_rules_that_do_not_fit_together_are_told(tmp_path: Path, text: str, pieces: list[str]) -> None:
    line = _fault(tmp_path, text)
    for piece in pieces:
        assert piece in line


def test_two_pools_with_one_fallback_are_told_of_both(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _read(tmp_path, "[pool:x]\nnumbers = 1\nfallback = 3\n[pool:y]\nnumbers = 2\nfallback = 3\n")
    assert [line.partition(": is")[0].rpartition(" [")[2] for line in str(caught.value).splitlines()] == [
        "pool:x] fallback = 3",
        "pool:y] fallback = 3",
    ]


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("password_next", "secret-word", "must be a hash as `cticache user NAME` prints it"),
        ("token", "secret-word", "must be sha256: and 64 hex digits, as `cticache user NAME --token` prints it"),
        ("token", f"sha256:{'0' * 64} sha256:{'0' * 63}", "must be sha256: and 64 hex digits"),
        ("token", f"sha256:{'0' * 64}, secret-word", "must be sha256: and 64 hex digits"),
    ],
)
def test_a_wrong_secret_of_a_user_is_told_but_not_shown(tmp_path: Path, option: str, value: str, allowed: str) -> None:
    line = _fault(tmp_path, f"{POOL}{USER}{option} = {value}\n")
    assert line.startswith(f"{tmp_path / 'config.ini'}: [user:bob] {option}: {allowed}")
    assert "000" not in line


def test_a_token_is_one_users(tmp_path: Path) -> None:
    token = f"token = sha256:{'0' * 64}\n"
    line = _fault(tmp_path, f"{POOL}[user:bob]\n{token}[user:eve]\n{token}")
    assert line.startswith(f"{tmp_path / 'config.ini'}: [user:eve] token: is one of user bob's, too: make another")
    assert "000" not in line


@pytest.mark.parametrize("option", ["password_next", "token"])
def test_a_users_other_secrets_may_be_in_files(tmp_path: Path, option: str) -> None:
    (tmp_path / "secret").write_text(
        {"password_next": HASH, "token": f"sha256:{'0' * 64}\nsha256:{'1' * 64}\n"}[option]
    )
    (bob,) = _read(tmp_path, f"{POOL}{USER}{option}_file = secret\n").users
    assert (bob.hashes, bob.token) in [((HASH, HASH), frozenset()), ((HASH,), {"0" * 64, "1" * 64})]


def test_a_short_audit_key_is_told_but_not_shown(tmp_path: Path) -> None:
    line = _fault(tmp_path, f"[server]\naudit_key = secret-word\n{POOL}")
    assert line.startswith(f"{tmp_path / 'config.ini'}: [server] audit_key: must be at least 16 characters")


@pytest.mark.parametrize("mark", ['"', "'"])
def test_a_path_in_quotes_is_read_without_them(tmp_path: Path, mark: str) -> None:
    (tmp_path / "the hash").write_text(HASH, "utf-8")
    paths = f"[redis]\ndata = {mark}C:\\my data{mark}\n[log]\nfile = {mark}my log.txt{mark}\n"
    read = _read(tmp_path, f"{paths}{POOL}[user:bob]\npassword_file = {mark}the hash{mark}\n")
    assert (read.redis.data, read.log.file, read.users[0].hashes) == ("C:\\my data", "my log.txt", (HASH,))


@pytest.mark.parametrize("path", ['"', '"a', "a'b'c", "it's"])
def test_a_quote_within_a_path_belongs_to_it(tmp_path: Path, path: str) -> None:
    assert _read(tmp_path, f"[log]\nfile = {path}\n{POOL}").log.file == path


def test_a_file_is_still_read_with_everything_at_its_bounds(tmp_path: Path) -> None:
    for _, option, allowed, _ in [row for row in _WHOLE if row[0] == "server"]:
        for bound in re.findall(r"\d+", allowed):
            read = _read(tmp_path, f"[server]\n{option} = {bound}\n{POOL}")
            assert getattr(read.server, option) == int(bound)


def test_every_option_of_the_schemas_has_a_wrong_value_here() -> None:
    tried = {(wrong.section.partition(":")[0], wrong.option) for wrong in _WRONG}
    known = {(name, option) for name, section in SECTIONS.items() for option in section.options}
    cannot_be_wrong = {("redis", "data"), ("log", "file")}
    assert known - tried == cannot_be_wrong | {
        ("redis", "url"),
        ("user", "password"),
        ("user", "password_next"),
        ("user", "token"),
        ("server", "audit_key"),
    }  # tests of their own


def test_every_fault_is_told_in_a_line_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _read(tmp_path, f"[server]\nport = x\nthreads = 0\n{POOL}ttl = x\n", {"CTICACHE_LOG_NONSENSE": "1"})
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    for piece in ("CTICACHE_LOG_NONSENSE", "[server] port = x", "[server] threads = 0", "[pool:x] ttl = x"):
        assert sum(piece in line for line in lines) == 1


def test_two_lines_are_no_fallback(tmp_path: Path) -> None:
    line = _fault(tmp_path, POOL + "fallback = 5550001\n  5550002\n")
    assert line.endswith(
        "[pool:x] fallback = 5550001 5550002: must be one number of 1 to 32 digits, such as 5559990001, or empty"
    )


def test_of_many_pools_the_first_are_named_to_a_user_of_another(tmp_path: Path) -> None:
    pools = "".join(f"[pool:p{at:02}]\nnumbers = {100 + at}\n" for at in range(30))
    line = _fault(tmp_path, f"{pools}[user:bob]\npassword = {HASH}\npools = p30\n")
    assert line.endswith(f"pools = p30: is no pool; there are {', '.join(f'p{at:02}' for at in range(20))}, ..")
