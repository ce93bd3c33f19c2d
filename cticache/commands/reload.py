"""``cticache reload``: have the running services read their configuration again."""

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

from cticache.commands import document
from cticache.commands.command import TROUBLE, WELL, Command
from cticache.commands.opening import configured, opened
from cticache.config.sections import Config
from cticache.data.store import Store
from cticache.data.tokens import token
from cticache.logs import escaped
from cticache.reloading import Reloaded

_LOOK_S = 0.1
"""How often it is looked whether one has answered."""
_LOOKS = 3
"""How many looks of a service at Redis are waited for: at one it hears of the question."""
_TO_READ_S = 30.0
"""How long it may take after that; a pool of a million numbers takes ten."""


class _Answer(NamedTuple):
    who: str
    """The service, in words."""
    reloaded: bool
    says: str


def _run(arguments: argparse.Namespace) -> int:
    settings = configured(arguments)
    answers: list[_Answer] = []
    with ExitStack() as stack:
        for answer in _answers(settings, opened(settings, stack)):
            answers.append(answer)
            if not arguments.json:
                print(escaped(f"{answer.who}: {answer.says}"), flush=True)
    is_well = bool(answers) and all(answer.reloaded for answer in answers)
    if arguments.json:
        document.write({"well": is_well, "services": [answer._asdict() for answer in answers]})
    elif not answers:
        print(
            "no service is registered on this Redis, so none was told. One that was started with another [redis] url "
            "or prefix is told by its restart alone"
        )
    return WELL if is_well else TROUBLE


def _answers(settings: Config, store: Store) -> Iterator[_Answer]:
    """What each service says that lives, as soon as it does, or that it has said nothing."""
    asked = token()
    waiting = store.service_ask(asked)
    until = time.monotonic() + _LOOKS * settings.redis.sync_interval + _TO_READ_S
    while waiting:
        said = store.service_answers(asked)
        for service in [*waiting]:
            if service not in said:
                yield _Answer(waiting.pop(service), False, "it has ended, or was asked by somebody else meanwhile")
            elif said[service]:
                told = Reloaded.of(said[service]) or Reloaded(False, "its answer is that of another release")
                yield _Answer(waiting.pop(service), told.is_in_force, told.says)
        if waiting and time.monotonic() > until:
            break
        if waiting:
            time.sleep(_LOOK_S)
    for who in waiting.values():
        yield _Answer(who, False, "it has not answered in time: its log says why, unless it is of an older release")


RELOAD = Command(
    "reload", "have the running services read their configuration again, without a gap", _run, has_json=True
)
