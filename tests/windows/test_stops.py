"""How the service ends: by Ctrl+C, by the other events of a console, by the task manager."""

import pytest

from kit.processes import ctrl_c, kill, lives
from kit.serving import Running
from kit.sites import Load, Site, port_of, serving, until, workers_of

_BREAKS = """
import signal, sys, threading
from cticache.cli import main
def wait_and_raise():
    sys.stdin.readline()
    signal.raise_signal(signal.SIGBREAK)
if __name__ == "__main__":
    threading.Thread(target=wait_and_raise, daemon=True).start()
    sys.exit(main())
"""
"""The service in a process that raises SIGBREAK in itself when its standard input says so.

Ctrl+Break, a window that is closed, logoff and shutdown come to that: the C library makes it of all four. Wine cannot
send the first one, and has no window here.
"""


_SAID_AT_THE_START = ("cticache listens on ", "Try it: ", "  curl.exe ")


def _ended_quietly(running: Running) -> None:
    assert running.ended() == 0, running.said()
    assert "Traceback" not in running.said()
    assert "cannot be used" not in running.said()
    assert not [line for line in running.rest() if not line.startswith(_SAID_AT_THE_START)]  # not a word more
    assert not any(map(lives, workers_of(running)))


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_it_quietly_with_0(site: Site, dispatch: str, workers: int) -> None:
    running = site.start(workers, dispatch)
    port = port_of(running)
    until(lambda: workers == 1 or serving(running) == workers)
    with Load(port) as load:
        load.more_answers()
        ctrl_c(running.process.pid)
        _ended_quietly(running)
    assert not load.wrong


def test_ctrl_c_while_workers_start_ends_it_quietly_with_0(site: Site, dispatch: str) -> None:
    running = site.start(2, dispatch)
    until(lambda: len(workers_of(running)) == 2)
    ctrl_c(running.process.pid)
    _ended_quietly(running)


def test_a_break_or_a_window_that_is_closed_ends_it_quietly_with_0(site: Site, dispatch: str) -> None:
    running = site.start(2, dispatch, "-c", _BREAKS)
    port = port_of(running)
    until(lambda: serving(running) == 2)
    with Load(port) as load:
        load.more_answers()
        assert running.stdin
        running.stdin.write("now\n")
        running.stdin.flush()
        _ended_quietly(running)


def test_workers_end_with_a_parent_that_the_task_manager_ends(site: Site, dispatch: str) -> None:
    running = site.start(2, dispatch)
    until(lambda: serving(running) == 2)
    workers = workers_of(running)
    kill(running.process.pid)
    until(lambda: not any(map(lives, workers)))


def test_workers_that_have_not_begun_to_serve_end_with_a_killed_parent(site: Site) -> None:
    running = site.start(2, "batch")
    until(lambda: len(workers_of(running)) == 2)
    workers = workers_of(running)
    kill(running.process.pid)
    until(lambda: not any(map(lives, workers)))
