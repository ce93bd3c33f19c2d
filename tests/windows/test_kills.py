"""Workers that are killed while clients call: the others go on serving.

The start of each new worker duplicates the listening socket. Were the duplicate made blocking, all would be: a worker
that lost the race for a client would wait in accept() until the next one comes, and serve nobody.
"""

from collections.abc import Callable
from statistics import median

from kit.processes import KILLED, kill
from kit.sites import Load, Site, port_of, serving, until, workers_of

_LONGEST_S, _TIMES_THE_USUAL = 1.0, 20
"""No answer may take longer than the one, or, on a machine that is busy with other things, than the other."""


def test_no_answer_is_late_when_workers_are_killed(
    site: Site, dispatch: str, long: bool, tell: Callable[[str], None]
) -> None:
    workers, kills = (4, 10) if long else (2, 5)
    running = site.start(workers, dispatch)
    port = port_of(running)
    until(lambda: serving(running) == workers)
    with Load(port) as load:
        _more_answers(load)
        usual_s = median(load.took_s)
        for number in range(kills):
            _more_answers(load)
            kill(workers_of(running)[-workers])
            until(lambda number=number: serving(running) == workers + number + 1)
        _more_answers(load)
    told = ", ".join(f"{count:,} {what}" for what, count in sorted(load.answers.items()))
    took = f"usually {usual_s:.3f} s, at most {max(load.took_s):.2f} s"
    tell(f"{workers} workers, {dispatch}, {kills} killed: {told}; an answer took {took}")
    assert running.said().count(f"has ended with {KILLED};") == kills
    assert not load.wrong
    assert max(load.took_s) < max(_LONGEST_S, _TIMES_THE_USUAL * usual_s)


def _more_answers(load: Load) -> None:
    so_far = load.answers.total()
    until(lambda: load.answers.total() >= so_far + 20)
