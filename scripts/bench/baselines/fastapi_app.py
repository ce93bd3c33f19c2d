"""The same exchange with FastAPI and redis.asyncio on uvicorn (uvloop and httptools): one EVALSHA a request.

Environment: PORT, REDIS_URL, PREFIX, POOL, AUTHORIZATION (the header that is right), TTL_MS.
"""

import hmac
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from calls import Calls
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from pydantic import BaseModel
from redis.asyncio import BlockingConnectionPool, Redis

from cticache.data.scripts import read_scripts

# Of its own, redis-py gives up at the 101st request that wants a connection; here it waits for one of these.
_pool = BlockingConnectionPool.from_url(os.environ["REDIS_URL"], max_connections=64, timeout=30, decode_responses=True)
_client = Redis(connection_pool=_pool)
_shas: dict[str, str] = {}
_calls = Calls(os.environ["PREFIX"], os.environ["POOL"], _shas)
_TTL_MS = int(os.environ["TTL_MS"])
_EXPECTED = os.environ["AUTHORIZATION"].encode()


class _Asked(BaseModel):
    ani: str
    value: Any
    ttl: int | None = None


async def _authorised(authorization: Annotated[str, Header()] = "") -> None:
    if not hmac.compare_digest(authorization.encode(), _EXPECTED):
        raise HTTPException(401, headers={"WWW-Authenticate": "Basic"})


@asynccontextmanager
async def _scripts(_app: FastAPI) -> AsyncIterator[None]:
    for name, source in read_scripts().items():
        _shas[name] = str(await _client.script_load(source))
    yield
    await _client.aclose()


app = FastAPI(dependencies=[Depends(_authorised)], lifespan=_scripts)


@app.post("/cticache/DNIS-ANI", status_code=201)
async def lease(asked: _Asked, response: Response) -> dict[str, Any]:
    """Lend a number."""
    ttl_ms = asked.ttl * 1000 if asked.ttl else _TTL_MS
    _, dnis, *_ = await _run(_calls.lease(asked.ani, json.dumps(asked.value), ttl_ms))
    response.headers["Location"] = f"/cticache/DNIS-ANI/{dnis}:{asked.ani}"
    return {"dnis": dnis, "ani": asked.ani, "value": asked.value}


@app.get("/cticache/DNIS-ANI/{key}")
async def read(key: str) -> dict[str, Any]:
    """The value, left in place."""
    return _answer(await _run(_calls.read(*_split(key))))


@app.delete("/cticache/DNIS-ANI/{key}")
async def take(key: str) -> dict[str, Any]:
    """The value, once."""
    return _answer(await _run(_calls.take(*_split(key))))


async def _run(command: tuple[str | int, ...]) -> Any:
    return await _client.execute_command(*command)  # type: ignore[no-untyped-call]


def _split(key: str) -> tuple[str, str]:
    dnis, _, ani = key.partition(":")
    return dnis, ani


def _answer(reply: Any) -> dict[str, Any]:
    if not isinstance(reply, list):
        raise HTTPException(404)
    return {"value": json.loads(reply[0])}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", access_log=False)
