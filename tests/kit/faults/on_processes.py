"""What may befall the processes of the service."""

import os
import signal
import time
from random import Random

from kit.clusters import seen
from kit.faults.fault import Fault, Form
from kit.faults.history import Course, Window
from kit.faults.on_redis import FSYNC_S, Single
from kit.faults.stage import WORKERS, Service, lives

NOBODY_S = 1.0
"""Within so long one is started while none lives."""
_KILLS = 100


def _start_s(service: Service) -> float:
    """For how long nobody may live: starting takes longer under load, and beside another start."""
    return NOBODY_S + 2 * service.starts_in_s


def _worker_killed(scene: Single, _form: Form) -> Course:
    begin = time.monotonic()
    scene.service.kill(scene.service.workers()[:1])
    return Course(begin, time.monotonic(), may_close=True)


def _all_killed(scene: Single, _form: Form) -> Course:
    begin = time.monotonic()
    scene.service.kill(scene.service.workers())
    return Course(begin, time.monotonic(), may_close=True, held_s=_start_s(scene.service))


def _young_killed(scene: Single, _form: Form) -> Course:
    """Those that took the place of those that were killed are killed before they have served."""
    begin = time.monotonic()
    for _ in range(3):
        seen(lambda: len(scene.service.workers()) == WORKERS, 60)
        scene.service.kill(scene.service.workers())
    end = time.monotonic()
    return Course(begin, end, may_close=True, held_s=end - begin + _start_s(scene.service))


def _worker_stopped(scene: Single, form: Form) -> Course:
    begin = time.monotonic()
    pid = scene.service.workers()[0]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(form.lasts_s)
    os.kill(pid, signal.SIGCONT)
    return Course(begin, time.monotonic(), held_s=form.lasts_s)


def _parent_killed(scene: Single, _form: Form) -> Course:
    """As a service manager does it, another is started once this one is gone."""
    begin = time.monotonic()
    workers = scene.service.workers()
    scene.service.kill([scene.service.parent])
    scene.service.running.ended()
    seen(lambda: not any(map(lives, workers)))
    return _started_again(scene.service, begin)


def _asked_to_end(scene: Single, _form: Form) -> Course:
    begin = time.monotonic()
    scene.service.running.end(signal.SIGTERM)
    return _started_again(scene.service, begin)


def _started_again(service: Service, begin: float) -> Course:
    end = time.monotonic()
    service.running.close()
    service.start()
    return Course(begin, end, may_close=True, held_s=_start_s(service))


PROCESSES: list[Fault[Single]] = [
    Fault("a worker killed", _worker_killed),
    Fault("all workers killed at once", _all_killed),
    Fault("workers killed before they served", _young_killed),
    Fault("a worker stands still", _worker_stopped),
    Fault("the parent killed, and started again", _parent_killed),
    Fault("SIGTERM, and started again", _asked_to_end),
]


def _killed_again_and_again(scene: Single, _form: Form) -> Course:
    """Redis and a worker by turns; a worker only while one serves, or nobody ever would where a start takes long."""
    random, begin, loses = Random(1), time.monotonic(), list[Window]()
    for kill in range(_KILLS):
        if kill % 2:
            seen(scene.service.answers, 60)
            scene.service.kill(random.sample(scene.service.workers(), 1))
        else:
            killed = time.monotonic()
            scene.server.kill()
            loses.append(Window(killed - FSYNC_S, time.monotonic()))
            scene.server.start()
        time.sleep(random.uniform(0.2, 1.0))
    held_s = _start_s(scene.service)
    return Course(begin, time.monotonic(), may_lose=loses, may_close=True, held_s=held_s)


KILLS = Fault(f"{_KILLS} kills of Redis and of workers", _killed_again_and_again)
