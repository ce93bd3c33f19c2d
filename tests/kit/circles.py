"""Requests in a circle of references, which the collector alone frees; everything stands while it looks for them."""

import gc
from collections.abc import Callable

from falcon import Request
from falcon.media import Handlers
from waitress.buffers import OverflowableBuffer
from waitress.parser import HTTPRequestParser
from waitress.task import Task

from cticache.loop.chunks import Chunks

_KINDS = (Request, Handlers, Task, HTTPRequestParser, Chunks, OverflowableBuffer)


def in_circles(ask: Callable[[], object]) -> list[str]:
    """What requests leave in circles, by the names of its types."""
    ask()
    gc.collect()
    gc.disable()
    try:
        for _ in range(4):
            ask()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return [type(each).__name__ for each in gc.garbage if isinstance(each, _KINDS)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
