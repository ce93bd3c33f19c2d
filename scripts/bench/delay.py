"""A TCP proxy on the loopback that holds back what it forwards: ``delay.py LISTEN_PORT TARGET_PORT DELAY_MS``."""

import asyncio
import selectors
import sys
from collections import deque


class _Side(asyncio.Protocol):
    """One end of a connection; what arrives here leaves by the other end, in order, after the delay."""

    def __init__(self, delay_s: float) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self._delay_s = delay_s
        self._held: deque[bytes] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.release_early()

    def data_received(self, data: bytes) -> None:
        self._held.append(data)
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._forward)
        else:
            self._forward()

    def connection_lost(self, _error: Exception | None) -> None:
        if self.other and self.other.transport:
            self.other.transport.close()

    def release_early(self) -> None:
        """Forward what came before the other end was connected."""
        if self.other:
            while self.other._held:
                self.other._forward()

    def _forward(self) -> None:
        if self._held and self.other and self.other.transport:
            self.other.transport.write(self._held.popleft())


async def _serve(listen_port: int, target_port: int, delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    under_way = set()

    def accepted() -> _Side:
        near, far = _Side(delay_s), _Side(delay_s)
        near.other, far.other = far, near
        task = loop.create_task(loop.create_connection(lambda: far, "127.0.0.1", target_port))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        return near

    server = await loop.create_server(accepted, "127.0.0.1", listen_port)
    await server.serve_forever()


if __name__ == "__main__":
    port, target, delay_ms = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    # select() takes microseconds; epoll, asyncio's default, whole milliseconds: one would become two.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(_serve(port, target, delay_ms / 1000))
