"""Workers that are killed while clients call: the others go on serving.

The start of each new worker duplicates the listening socket. Were the duplicate made blocking, all would be: a worker
that lost the race for a client would wait in accept() until the next one comes, and serve nobody.
"""

import time
from collections.abc import Callable
from statistics import median

from kit.processes import KILLED, kill
from kit.sites import Load, Site, port_of, serving, until, workers_of

_LONGEST_S, _OF_A_START = 1.0, 1 / 4
"""No answer may take longer than the one, or, on a machine that is busy with other things, than such a part of the time
in which a worker is replaced: who waits in accept() keeps its clients waiting for about all of that."""


def test_no_answer_is_late_when_workers_are_killed(
    site: Site, dispatch: str, long: bool, tell: Callable[[str], None]
) -> None:
    workers, kills = (4, 10) if long else (2, 5)
    running = site.start(workers, dispatch)
    port = port_of(running)
    until(lambda: serving(running) == workers)
    killed: list[tuple[float, float]] = []
    replaced_s: list[float] = []
    with Load(port) as load:
        load.more_answers()
        usual_s = median(request.took_s for request in load.answered())
        for number in range(kills):
            load.more_answers()
            before = time.monotonic()
            kill(workers_of(running)[-workers])
            killed.append((before, time.monotonic()))
            until(lambda number=number: serving(running) == workers + number + 1)
            replaced_s.append(time.monotonic() - before)
        load.more_answers()
    slowest_s = max(request.took_s for request in load.answered())
    tell(
        f"{workers} workers, {dispatch}, {kills} killed: {load.said()}; "
        f"an answer took usually {usual_s:.3f} s, at most {slowest_s:.2f} s, a new worker {median(replaced_s):.1f} s"
    )
    assert running.said().count(f"has ended with {KILLED};") == kills
    assert not load.wrong
    longest_s = max(_LONGEST_S, _OF_A_START * min(replaced_s))
    assert slowest_s < longest_s
    # Only who was a killed worker's has no answer. (Wine may keep such a connection open: its client waits in vain.)
    lost = [request for request in load.requests if not request.answered]
    assert not [
        request
        for request in lost
        if not any(before - longest_s <= request.began_s <= after for before, after in killed)
    ]
