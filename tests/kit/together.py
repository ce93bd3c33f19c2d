"""Several questions to a store in one round trip."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cticache.data.scripts import Invocation
from cticache.data.store import Store


class _NotedError(Exception):
    """What is to be run is known."""


def together(store: Store, *questions: Callable[[], Any]) -> list[Any]:
    """What each of them returns, each a method of this store that asks once.

    Each is called twice: to learn what it would run, and to be given the reply.
    """
    scripts = store._scripts
    run = scripts.run
    noted: list[Sequence[Invocation]] = []

    def note(invocations: Sequence[Invocation]) -> list[Any]:
        noted.append(invocations)
        raise _NotedError

    try:
        scripts.run = note  # type: ignore[method-assign]
        for question in questions:
            _called(question)
        replies: Iterator[Any] = iter(run([each for invocations in noted for each in invocations]))
        scripts.run = lambda invocations: [next(replies) for _ in invocations]  # type: ignore[method-assign]
        return [question() for question in questions]
    finally:
        del scripts.run


def _called(question: Callable[[], Any]) -> None:
    try:
        question()
    except _NotedError:
        return
    raise AssertionError("it asks nothing")
