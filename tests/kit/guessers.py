"""Guessers of passwords, a program beside: ``python guessers.py PORT NAME CONNECTIONS ADDRESSES``, until it is ended.

Every other one repeats its guess until it is told that it is wrong. None of them minds Retry-After. They say which
address they come from, as a proxy would.
"""

import asyncio
import base64
import itertools
import sys


def login(name: str, password: str, address: str) -> bytes:
    """A request with these credentials, from there."""
    credentials = base64.b64encode(f"{name}:{password}".encode()).decode()
    return (
        "GET /cticache/pools HTTP/1.1\r\nHost: x\r\n"
        f"X-Forwarded-For: {address}\r\nAuthorization: Basic {credentials}\r\n\r\n"
    ).encode()


async def answer(reader: asyncio.StreamReader) -> int:
    """The status; 0 where the connection was closed."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
    except (asyncio.IncompleteReadError, OSError):
        return 0
    return int(head.split(b" ", 2)[1])


async def guess(port: int, name: str, at: int, address: str) -> None:
    """One connection, and others if it is closed."""
    guesses = (f"guess {at}-{n}" for n in itertools.count())
    password, repeats = next(guesses), at % 2
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        status = 1
        while status:
            writer.write(login(name, password, address))
            status = await answer(reader)
            if status == 401 or not repeats:
                password = next(guesses)
        writer.close()
        await asyncio.sleep(0.01)


async def main(port: int, name: str, connections: int, addresses: int) -> None:
    """All of them."""
    await asyncio.gather(*[guess(port, name, at, f"203.0.113.{at % addresses}") for at in range(connections)])


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
