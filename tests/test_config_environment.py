"""What the environment, and files of their own, override in config.ini."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from cticache import config
from cticache.access.passwords import hashed
from cticache.config import Config
from cticache.config.environment import ALONE as ENVIRONMENT
from cticache.errors import ConfigError

HASH, OTHER_HASH = hashed("secret-word"), hashed("other-word")
TEXT = f"""\
[server]
port = 1
[redis]
url = redis://file
[pool:system-y]
numbers = 1-9
ttl = 7
[user:bob.b]
password = {HASH}
"""


def _read(folder: Path, environment: Mapping[str, str], text: str = TEXT) -> Config:
    path = folder / "config.ini"
    path.write_text(text)
    return config.read(path, environment)


def _fault(folder: Path, environment: Mapping[str, str], text: str = TEXT) -> str:
    with pytest.raises(ConfigError) as caught:
        _read(folder, environment, text)
    line = str(caught.value)
    assert len(line.splitlines()) == 1, line
    assert "secret-word" not in line
    assert "$argon2" not in line
    return line


def test_the_environment_comes_first_in_every_kind_of_section(tmp_path: Path) -> None:
    read = _read(
        tmp_path,
        {
            "CTICACHE_SERVER_PORT": "2",
            "CTICACHE_SERVER_MAX_BODY": " 100 ",
            "CTICACHE_REDIS_URL": "redis://variable",
            "CTICACHE_POOL_SYSTEM_Y_TTL": "8",
            "CTICACHE_POOL_SYSTEM_Y_NUMBERS": "1-3",
            "CTICACHE_USER_BOB_B_PASSWORD": OTHER_HASH,
            "CTICACHE_USER_BOB_B_ROLES": "watch",
            "HOME": "x",
            "cticache_server_port": "3",
        },
    )
    assert (read.server.port, read.server.max_body, read.redis.url) == (2, 100, "redis://variable")
    assert (read.pools[0].ttl_ms, str(read.pools[0].numbers)) == (8_000, "1-3")
    assert (read.users[0].password, read.users[0].roles) == (OTHER_HASH, {"watch"})


def test_the_environment_serves_sections_that_the_file_leaves_out(tmp_path: Path) -> None:
    read = _read(tmp_path, {"CTICACHE_SERVER_PORT": "2", "CTICACHE_REDIS_PREFIX": "p"}, "[pool:x]\nnumbers = 1\n")
    assert (read.server.port, read.redis.prefix) == (2, "p")


def test_a_right_value_in_the_environment_hides_a_wrong_one_in_the_file(tmp_path: Path) -> None:
    assert _read(tmp_path, {"CTICACHE_SERVER_PORT": "2"}, TEXT.replace("port = 1", "port = x")).server.port == 2


def test_an_empty_variable_is_an_empty_value(tmp_path: Path) -> None:
    assert _read(tmp_path, {"CTICACHE_REDIS_URL": ""}).redis.url == ""


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("CTICACHE_SERVER_PROT", "did you mean CTICACHE_SERVER_PORT?"),
        ("CTICACHE_POOL_SYSTEM_X_TTL", "did you mean CTICACHE_POOL_SYSTEM_Y_TTL?"),
        ("CTICACHE_POOL_SYSTEM_Y_NUMBER", "did you mean CTICACHE_POOL_SYSTEM_Y_NUMBERS?"),
        ("CTICACHE_REDIS_URLFILE", "did you mean CTICACHE_REDIS_URL_FILE?"),
        ("CTICACHE_LOG_QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ", "unset it"),
    ],
)
def test_an_unknown_option_of_a_section_is_told_with_a_hint(tmp_path: Path, variable: str, hint: str) -> None:
    line = _fault(tmp_path, {variable: "secret-word"})
    assert line.startswith(f"environment variable {variable}: ")
    assert hint in line


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("CTICACHE_SEVER_PORT", "did you mean CTICACHE_SERVER_PORT?"),
        ("CTICACHE_PORT", "did you mean CTICACHE_SERVER_PORT?"),
        ("CTICACHE_POOLS_SYSTEM_Y_TTL", "did you mean CTICACHE_POOL_SYSTEM_Y_TTL?"),
        ("CTICACHE_FOO", "unset it"),
    ],
)
def test_a_variable_of_no_section_is_ignored_and_said(tmp_path: Path, variable: str, hint: str) -> None:
    read = _read(tmp_path, {variable: "8080"})
    assert read.unheeded == ((variable, hint),)
    assert (read.server.port, read.overrides) == (1, ())


OF_KUBERNETES = {
    "CTICACHE_SERVICE_HOST": "10.0.0.1",
    "CTICACHE_SERVICE_PORT": "8080",
    "CTICACHE_SERVICE_PORT_HTTP": "8080",
    "CTICACHE_PORT": "tcp://10.0.0.1:8080",
    "CTICACHE_PORT_8080_TCP": "tcp://10.0.0.1:8080",
    "CTICACHE_PORT_8080_TCP_PROTO": "tcp",
    "CTICACHE_PORT_8080_TCP_PORT": "8080",
    "CTICACHE_PORT_8080_TCP_ADDR": "10.0.0.1",
    "CTICACHE_REDIS_SERVICE_HOST": "10.0.0.2",
    "CTICACHE_REDIS_SERVICE_PORT": "6379",
    "CTICACHE_REDIS_PORT": "tcp://10.0.0.2:6379",
    "CTICACHE_REDIS_PORT_6379_TCP": "tcp://10.0.0.2:6379",
    "CTICACHE_SERVER_PORT": "tcp://10.0.0.3:8080",
}
"""What it puts into each container where there are services named cticache, cticache-redis and cticache-server."""


def test_what_kubernetes_says_of_its_services_is_no_configuration(tmp_path: Path) -> None:
    read = _read(tmp_path, OF_KUBERNETES)
    assert (read.unheeded, read.overrides, read.server.port) == ((), (), 1)


ALONE = {
    "CTICACHE_POOL_SYSTEM_Y_NUMBERS": "1-9",
    "CTICACHE_POOL_SYSTEM_Y_MAX_TTL": "700",
    "CTICACHE_USER_IVR_PASSWORD": HASH,
    "CTICACHE_USER_IVR_POOLS": "system_y",
    "CTICACHE_USER_CONTACT_CENTRE_TOKEN_FILE": "token",
}


def test_pools_and_users_can_come_from_the_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_args: tmp_path / "none")
    (tmp_path / "token").write_text("sha256:" + "0" * 64, "utf-8")
    read = config.read(config.find(None, ALONE), ALONE)
    (pool,) = read.pools
    assert (pool.name, str(pool.numbers), pool.max_ttl_ms) == ("system_y", "1-9", 700_000)
    assert {user.name: user.pools for user in read.users} == {"ivr": {"system_y"}, "contact_centre": None}
    assert str(read.source) == "the environment"
    assert "CTICACHE_POOL_SYSTEM_Y_NUMBERS = 1-9 sets [pool:system_y] numbers" in read.overrides


def test_a_user_of_the_environment_stands_beside_those_of_the_file(tmp_path: Path) -> None:
    read = _read(tmp_path, {"CTICACHE_USER_ANN_PASSWORD": OTHER_HASH, "CTICACHE_USER_BOB_B_PASSWORD": OTHER_HASH})
    assert {user.name: user.password for user in read.users} == {"ann": OTHER_HASH, "bob.b": OTHER_HASH}


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("CTICACHE_POOL_X_NUMBERS", "secret-", "CTICACHE_POOL_X_NUMBERS = secret-: "),
        ("CTICACHE_POOL_X_TLL", "1", "CTICACHE_POOL_X_TLL: no section and option go by this name; did you mean "),
        ("CTICACHE_USER_X_ROLE", "x", "; a user who is not in the file comes to be by CTICACHE_USER_<NAME>_PASSWORD"),
        (f"CTICACHE_POOL_{'X' * 65}_NUMBERS", "1", "_NUMBERS: no section and option go by this name"),
        ("CTICACHE_USER_X_TOKEN", "", "the environment: [user:x] password: is missing: run `cticache user NAME`"),
    ],
)
def test_what_is_wrong_where_there_is_no_file_is_told(variable: str, value: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.read(ENVIRONMENT, {"CTICACHE_POOL_X_NUMBERS": "1", variable: value})
    (line,) = str(caught.value).splitlines()
    assert fault in line


def test_the_environment_cannot_have_more_pools_than_one_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cticache.config.reader.MOST_POOLS", 2)
    with pytest.raises(ConfigError, match="there are 3 pools, more than the 2 of one service"):
        config.read(ENVIRONMENT, {f"CTICACHE_POOL_{name}_NUMBERS": str(at) for at, name in enumerate("ABC", 1)})


def test_the_environment_names_the_file_and_the_command_line_another(tmp_path: Path) -> None:
    named, other = tmp_path / "named.ini", tmp_path / "other.ini"
    for path in (named, other):
        path.write_text(TEXT, "utf-8")
    environment = ALONE | {"CTICACHE_CONFIG": str(named)}
    assert config.find(None, environment) == named
    assert config.find(other, environment) == other
    assert config.read(named, {"CTICACHE_CONFIG": str(named)}).unheeded == ()


def test_a_file_named_in_the_environment_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config.find(None, ALONE | {"CTICACHE_CONFIG": str(tmp_path / "none.ini")})
    assert str(caught.value).startswith(f"environment variable CTICACHE_CONFIG = {tmp_path / 'none.ini'}: ")
    assert "there is no such file" in str(caught.value)


def test_a_variable_that_stands_for_two_sections_is_refused(tmp_path: Path) -> None:
    text = "[pool:a-b]\nnumbers = 1\n[pool:a.b]\nnumbers = 2\n"
    line = _fault(tmp_path, {"CTICACHE_POOL_A_B_TTL": "7"}, text)
    for piece in ("environment variable CTICACHE_POOL_A_B_TTL", "[pool:a-b] ttl", "[pool:a.b] ttl", "rename"):
        assert piece in line
    assert len(_read(tmp_path, {}, text).pools) == 2


@pytest.mark.parametrize(
    ("variable", "value", "place"),
    [
        ("CTICACHE_POOL_SYSTEM_Y_TTL", "3601", "= 3601: must not be above max_ttl"),
        ("CTICACHE_POOL_SYSTEM_Y_NUMBERS", "", "at least one number"),
        ("CTICACHE_USER_BOB_B_POOLS", "z", "= z: is no pool; there are system-y"),
    ],
)
def test_what_is_wrong_across_options_is_told_with_the_variable_too(
    tmp_path: Path, variable: str, value: str, place: str
) -> None:
    line = _fault(tmp_path, {variable: value})
    assert line.startswith(f"environment variable {variable}")
    assert place in line


def test_a_secret_may_be_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "hash").write_bytes(b"\xef\xbb\xbf" + OTHER_HASH.encode() + b"\r\n")
    (tmp_path / "url").write_text("redis://:p%@h\n")
    text = TEXT.replace(f"password = {HASH}", "password_file = hash").replace("url = redis://file", "url_file = url")
    read = _read(tmp_path, {}, text)
    assert (read.users[0].password, read.redis.url) == (OTHER_HASH, "redis://:p%@h")
    absolute = text.replace("= hash", f"= {tmp_path / 'hash'}")
    assert _read(tmp_path, {}, absolute).users[0].password == OTHER_HASH


def test_a_file_named_in_the_environment_comes_before_what_config_ini_says(tmp_path: Path) -> None:
    (tmp_path / "hash").write_text(OTHER_HASH)
    (tmp_path / "url").write_text("redis://variable")
    environment = {"CTICACHE_USER_BOB_B_PASSWORD_FILE": str(tmp_path / "hash"), "CTICACHE_REDIS_URL_FILE": "url"}
    read = _read(tmp_path, environment)
    assert (read.users[0].password, read.redis.url) == (OTHER_HASH, "redis://variable")


def test_what_is_wrong_in_a_file_of_a_secret_is_told_of_that_file(tmp_path: Path) -> None:
    text = TEXT.replace(f"password = {HASH}", "password_file = secret")
    for cut, hint in ((HASH[:-9], False), (f"{HASH} # mine", True)):
        (tmp_path / "secret").write_text(cut, "utf-8")
        line = _fault(tmp_path, {}, text)
        assert f"[user:bob.b] password_file = {tmp_path / 'secret'}: must be a hash" in line
        assert ("; a comment after a value begins with ; and not with #" in line) == hint
        assert HASH[:-9] not in line


def test_a_token_of_two_users_is_told_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("sha256:" + "0" * 64, "utf-8")
    line = _fault(tmp_path, {}, TEXT + "".join(f"[user:{name}]\ntoken_file = token\n" for name in "xy"))
    assert f"[user:y] token_file = {tmp_path / 'token'}: is one of user x's, too" in line


def test_a_secret_in_the_environment_comes_before_a_file_that_config_ini_names(tmp_path: Path) -> None:
    text = TEXT.replace(f"password = {HASH}", "password_file = none")
    assert _read(tmp_path, {"CTICACHE_USER_BOB_B_PASSWORD": OTHER_HASH}, text).users[0].password == OTHER_HASH


@pytest.mark.parametrize(("section", "option"), [("user:bob.b", "password"), ("redis", "url")])
def test_a_secret_and_its_file_are_not_given_both(tmp_path: Path, section: str, option: str) -> None:
    (tmp_path / "secret").write_text(HASH if option == "password" else "redis://h")
    text = TEXT.replace(f"{option} =", f"{option}_file = secret\n{option} =")
    line = _fault(tmp_path, {}, text)
    assert f"[{section}] {option}_file = " in line
    assert f"either this or {option}, not both" in line


@pytest.mark.parametrize(
    "order", [["", "_FILE"], ["_FILE", ""]], ids=["secret before its file", "file before the secret"]
)
def test_a_secret_and_its_file_are_not_given_both_in_the_environment(tmp_path: Path, order: list[str]) -> None:
    (tmp_path / "url").write_text("redis://h")
    values = {"": "redis://variable", "_FILE": "url"}
    line = _fault(tmp_path, {f"CTICACHE_REDIS_URL{end}": values[end] for end in order})
    assert "CTICACHE_REDIS_URL_FILE" in line
    assert "not both" in line


@pytest.mark.parametrize(("section", "option"), [("user:bob.b", "password"), ("redis", "url")])
@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("none", "No such file"),
        (".", "Permission denied" if sys.platform == "win32" else "directory"),
        ("latin", "not UTF-8"),
    ],
    ids=str,
)
def test_a_secrets_file_that_cannot_be_read_is_told(
    tmp_path: Path, section: str, option: str, file: str, reason: str
) -> None:
    (tmp_path / "latin").write_bytes(b"\xe4secret-word")
    now = f"password = {HASH}" if option == "password" else "url = redis://file"
    line = _fault(tmp_path, {}, TEXT.replace(now, f"{option}_file = {file}"))
    assert f"[{section}] {option}_file = {tmp_path / file}: cannot be read" in line
    assert reason in line


def test_a_secrets_file_named_in_the_environment_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    line = _fault(tmp_path, {"CTICACHE_REDIS_URL_FILE": "none"})
    assert line.startswith("environment variable CTICACHE_REDIS_URL_FILE = ")
    assert "cannot be read" in line


def test_a_wrong_secret_in_a_file_is_told_but_not_shown(tmp_path: Path) -> None:
    (tmp_path / "hash").write_text("secret-word")
    line = _fault(tmp_path, {"CTICACHE_USER_BOB_B_PASSWORD_FILE": "hash"})
    assert "must be a hash" in line


@pytest.mark.parametrize("option", ["port_file", "numbers_file", "password_file_file"])
def test_only_a_secret_may_be_in_a_file(tmp_path: Path, option: str) -> None:
    section = {"port_file": "[server]", "numbers_file": "[pool:system-y]", "password_file_file": "[user:bob.b]"}[option]
    line = _fault(tmp_path, {}, TEXT.replace(section, f"{section}\n{option} = x"))
    assert f"{section} {option}: is not an option known here" in line


def test_a_url_of_bytes_that_are_no_text_is_told(tmp_path: Path) -> None:
    line = _fault(tmp_path, {"CTICACHE_REDIS_URL": "redis://:secret-word\udcff@h"})
    assert "a character that cannot be printed" in line
