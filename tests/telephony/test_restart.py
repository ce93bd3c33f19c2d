"""Redis is killed in the middle of the calls, and started again on what it had written."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kit import servers
from kit.serving import until
from kit.telephony.calls import PLAIN, VARIANTS, judged, made
from kit.telephony.stage import staged

CALLS, A_SECOND = 150, 50
BEFORE, REFUSED = 40, 15
"""How many calls are over when Redis is killed, and how many X leases nothing for before it is there again."""
Start = Callable[[], AbstractContextManager[servers.Program]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts a Redis that has written down whatever it says it has done; each time in the same place."""
    folder = tmp_path / "redis"
    folder.mkdir()
    options = ("--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder))
    program = (servers.programs() or [servers.packaged()])[0]
    port = servers.free_port()
    return lambda: servers.program(program, *options, port=port)


@pytest.fixture
def redis(start: Start) -> Iterator[servers.Program]:
    with start() as program:
        yield program


def test_what_was_leased_arrives_after_a_restart_of_redis(
    redis: servers.Program, start: Start, tmp_path: Path, long: bool, tell: Callable[[str], None]
) -> None:
    calls = made((variant, 500 if long and variant == PLAIN else CALLS // len(VARIANTS)) for variant in VARIANTS)
    with staged(tmp_path, redis.url) as stage, stage.making(calls, A_SECOND) as making:
        until(lambda: len(making.so_far()) >= BEFORE)
        redis.process.kill()
        redis.process.wait()
        until(lambda: len([outcome for outcome in making.so_far() if not outcome.x.dnis]) >= REFUSED)
        with start():
            outcomes = making.all(60)
    verdict = judged(calls, outcomes)
    assert verdict.faults() == []
    leased = [outcome for outcome in outcomes if outcome.x.dnis]
    waited = [outcome for outcome in leased if outcome.y.put_off]
    assert waited  # leased before Redis was killed, taken from the one that came after it
    assert {outcome.x.code for outcome in outcomes if not outcome.x.dnis} == {"503"}
    tell(
        f"of {len(calls)} calls around a restart of Redis {len(leased)} arrived with their own data, {len(waited)} of "
        f"them leased before it and taken after; {len(verdict.refused)} were refused, and arrived without data"
    )
