"""What an error of Redis is said to be, whoever has read it."""

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cticache.link.connection import Direct, connect, copied
from cticache.link.trouble import AWAY, REFUSALS, SILENT, UNKNOWN, trouble
from cticache.loop.redis_reader import error_of
from kit.proxy import Impostor

TEXTS = [
    ("NOPERM", "NOPERM User ivr has no permissions to run the 'evalsha' command"),
    (
        "NOPERM",
        "NOPERM The user executing the script can't run this command or subcommand script: 0, on @user_script:3.",
    ),
    ("NOPERM", "ERR Error running script (call to f_0): @user_script:3: The user executing the script can't run this"),
    ("WRONGPASS", "WRONGPASS invalid username-password pair or user is disabled."),
    ("WRONGPASS", "ERR invalid password"),
    ("NOAUTH", "NOAUTH Authentication required."),
    ("NOREPLICAS", "NOREPLICAS Not enough good replicas to write."),
    (
        "NOREPLICAS",
        "ERR Error running script (call to f_0): @user_script:3: -NOREPLICAS Not enough good replicas to write.",
    ),
    ("MISCONF", "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."),
    ("OOM", "OOM command not allowed when used memory > 'maxmemory'."),
    ("OOM", "ERR Error running script (call to f_0): @user_script:3: -OOM command not allowed"),
    ("READONLY", "READONLY You can't write against a read only replica."),
    ("MASTERDOWN", "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
    ("LOADING", "LOADING Redis is loading the dataset in memory"),
    ("BUSY", "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."),
    ("CLUSTERDOWN", "CLUSTERDOWN The cluster is down"),
    ("TRYAGAIN", "TRYAGAIN Multiple keys request during rehashing of slot"),
    ("MOVED", "MOVED 1 127.0.0.1:7001"),
    ("MOVED", "ASK 1 127.0.0.1:7001"),
    ("MAXCLIENTS", "ERR max number of clients reached"),
    ("WRONGTYPE", "WRONGTYPE Operation against a key holding the wrong kind of value script: 0, on @user_script:31."),
]


@pytest.mark.parametrize(("code", "text"), TEXTS, ids=lambda word: word.partition(" ")[0])
def test_a_refusal_is_told_alike_by_redis_py_and_on_the_loop(code: str, text: str) -> None:
    impostor = Impostor(lambda _: f"-{text}\r\n".encode())
    with connect(impostor.url, 5.0) as client:
        try:
            (theirs,) = Direct(client).run([("EVALSHA", "x", 0)])
        except RedisError as error:
            theirs = error
    impostor.close()
    for error in (theirs, copied(theirs), error_of(text)):
        assert trouble(error).says == REFUSALS[code]
        assert not trouble(error).is_away


def test_every_refusal_is_tried() -> None:
    assert {code for code, _ in TEXTS} == REFUSALS.keys()


def test_who_is_not_heard_is_away_and_who_says_something_else_refuses() -> None:
    assert trouble(RedisConnectionError("Error 111 connecting to h:1. Connection refused.")) == AWAY
    assert trouble(OSError("no route")) == AWAY
    assert trouble(RedisTimeoutError("no answer in time")) == SILENT
    assert trouble(ResponseError("UNHEARD of")) == UNKNOWN
    assert (AWAY.is_away, SILENT.is_away, UNKNOWN.is_away) == (True, True, False)
