"""What is told of a start."""

import logging
from pathlib import Path

import pytest

from cticache import config
from cticache.announce import tell_started
from cticache.config.environment import ALONE
from cticache.link.redis_url import shown

INI = "[pool:x]\nnumbers = 1-9\ndraining = 10\n[pool:y]\nnumbers = 20\n"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://user:s3cret@h:6379/0", "redis://h:6379/0"),
        ("rediss://s3cret@h?ssl_ca_certs=/x", "rediss://h"),
        ("unix://:s3cret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("redis+sentinel://:s3cret@h1:1,h2:2/main?sentinel_password=s3cret", "redis+sentinel://h1:1,h2:2/main"),
        ("redis+cluster://u:s3cret%40@h1:1,h2:2", "redis+cluster://h1:1,h2:2"),
    ],
)
def test_of_the_url_of_redis_no_credentials_are_told(url: str, said: str) -> None:
    assert shown(url) == said


def test_the_line_of_a_start_tells_what_runs_on_what_and_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "config.ini"
    path.write_text(INI, "utf-8")
    names = {"CTICACHE_SERVER_AUDIT_KEY": "sixteen-letters-", "CTICACHE_SERVER_DISPATCH": "threads"}
    settings = config.read(path, names)
    tell_started(settings, "redis://:s3cret@h:1/0", 2, is_reached=False)
    (said,) = caplog.messages
    assert said.endswith(
        f" has started with {path}, overridden by CTICACHE_SERVER_AUDIT_KEY, CTICACHE_SERVER_DISPATCH; "
        "Redis: redis://h:1/0 (it has not answered yet); 2 workers, dispatch = threads; 2 pools with 10 numbers"
    )


def test_a_start_without_a_file_is_told_by_its_variables_and_what_is_ignored_before_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    names = {"CTICACHE_POOL_X_NUMBERS": "1", "CTICACHE_SEVER_PORT": "2"}
    tell_started(config.read(ALONE, names), "redis://h:1/0", 1, is_reached=False)
    ignored, said = caplog.records
    assert (ignored.levelname, ignored.getMessage()) == (
        "WARNING",
        "environment variable CTICACHE_SEVER_PORT is ignored: no section of the configuration goes by this name; "
        "did you mean CTICACHE_SERVER_PORT?",
    )
    assert " has started with the environment, by CTICACHE_POOL_X_NUMBERS; " in said.getMessage()


def test_a_redis_that_goes_just_then_keeps_nobody_from_starting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "config.ini"
    path.write_text(INI, "utf-8")
    tell_started(config.read(path, {}), "redis://127.0.0.1:1/0", 1, is_reached=True)
    assert "Redis: redis://127.0.0.1:1/0 (it does not answer); 1 worker, " in caplog.messages[0]
