"""The least that Falcon and redis-py need for the same exchange, on stock waitress: one EVALSHA a request.

Environment: as hello.py, and REDIS_URL, PREFIX, POOL, AUTHORIZATION (the header that is right), TTL_MS.
"""

import hmac
import json
import os
from typing import Any

import falcon
from calls import Calls
from falcon import Request, Response
from hello import serve
from redis import Redis

from cticache.data.scripts import read_scripts

_client = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
_calls = Calls(
    os.environ["PREFIX"],
    os.environ["POOL"],
    {name: str(_client.script_load(source)) for name, source in read_scripts().items()},
)
_TTL_MS = int(os.environ["TTL_MS"])
_EXPECTED = os.environ["AUTHORIZATION"].encode()


class _Auth:
    def process_request(self, req: Request, _resp: Response) -> None:
        if not hmac.compare_digest((req.auth or "").encode(), _EXPECTED):
            raise falcon.HTTPUnauthorized(challenges=["Basic"])


class _Leases:
    def on_post(self, req: Request, resp: Response) -> None:
        asked = req.get_media()
        ttl_ms = asked["ttl"] * 1000 if "ttl" in asked else _TTL_MS
        _, dnis, *_ = _run(_calls.lease(asked["ani"], json.dumps(asked["value"]), ttl_ms))
        resp.status = 201
        resp.location = f"/cticache/DNIS-ANI/{dnis}:{asked['ani']}"
        resp.media = {"dnis": dnis, "ani": asked["ani"], "value": asked["value"]}


class _Lease:
    def on_get(self, _req: Request, resp: Response, dnis: str, ani: str) -> None:
        _answer(resp, _run(_calls.read(dnis, ani)))

    def on_delete(self, _req: Request, resp: Response, dnis: str, ani: str) -> None:
        _answer(resp, _run(_calls.take(dnis, ani)))


def _run(command: tuple[str | int, ...]) -> Any:
    return _client.execute_command(*command)  # type: ignore[no-untyped-call]


def _answer(resp: Response, reply: Any) -> None:
    if not isinstance(reply, list):
        raise falcon.HTTPNotFound
    resp.media = {"value": json.loads(reply[0])}


if __name__ == "__main__":
    app = falcon.App(middleware=[_Auth()])
    app.add_route("/cticache/DNIS-ANI", _Leases())
    app.add_route("/cticache/DNIS-ANI/{dnis}:{ani}", _Lease())
    serve(app)
