"""Lines of which somebody outside can cause as many as he likes: few are logged, and none goes uncounted."""

import logging
from collections.abc import Callable

import pytest

from cticache.journal import limited
from cticache.journal.limited import Limited
from kit.monotonic import Monotonic
from kit.running import until


@pytest.fixture
def make(clock: Monotonic, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Limited]:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(limited, "_TOLD_S", 600)  # what was left out is told when a test says so

    def make(per_s: float, burst: int) -> Limited:
        return Limited(logging.getLogger("cticache.test"), "%s lines of %s were not logged", per_s, burst, clock)

    return make


def log(lines: Limited, count: int, kind: str = "a") -> None:
    for _ in range(count):
        lines.log(kind, logging.INFO, "%s!", kind)


def test_so_many_lines_come_at_once_and_so_many_a_second(
    make: Callable[..., Limited], clock: Monotonic, caplog: pytest.LogCaptureFixture
) -> None:
    lines = make(2, 5)
    for seconds, logged in ((0, 5), (0, 0), (0.25, 0), (0.25, 1), (2, 4), (3600, 5)):
        clock.now += seconds
        caplog.clear()
        log(lines, 10)
        assert caplog.messages == ["a!"] * logged
    lines.close()


def test_a_flood_of_one_kind_hides_no_other(make: Callable[..., Limited], caplog: pytest.LogCaptureFixture) -> None:
    lines = make(1, 2)
    log(lines, 50, "a")
    log(lines, 2, "b")
    lines.close()
    assert caplog.messages == ["a!", "a!", "b!", "b!", "48 lines of a were not logged"]


def test_each_line_that_is_left_out_is_told_once(
    make: Callable[..., Limited], clock: Monotonic, caplog: pytest.LogCaptureFixture
) -> None:
    lines = make(1, 1)
    log(lines, 1_235)
    lines.close()
    lines.close()
    log(lines, 1)
    lines.close()
    told = ["1,234 lines of a were not logged", "1 lines of a were not logged"]
    assert caplog.messages == ["a!", *told]


def test_how_many_are_left_out_is_told_by_itself_also_when_no_other_line_comes(
    make: Callable[..., Limited], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limited, "_TOLD_S", 0.01)
    lines = make(1, 1)
    for told in (1, 2):
        log(lines, 3)
        until(lambda told=told: "".join(caplog.messages).count("lines of a were not logged") == told)
