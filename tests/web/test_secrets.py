"""What no client and no log is told: values, Redis texts, paths; whatever goes wrong."""

import logging

import pytest
from falcon.testing import TestClient
from redis import Redis

from kit.running import Service

CALLS = "/cticache/DNIS-ANI"
CALL = f"{CALLS}/5551234560:1234567890"
MESSAGE = "cannot unpack 4929-0000-SECRET of 5551234560:1234567890"
BODY = '{"value":"4929-0000-SECRET","ani":"1234567890"}'


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_fault_of_the_program_tells_nobody_what_it_was_about(
    api: TestClient,
    service: Service,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    def fail(*_args: object, **_named: object) -> None:
        raise RuntimeError(MESSAGE)

    api.simulate_post(CALLS, body=BODY)
    for operation in ("read", "renew", "take"):
        monkeypatch.setattr(service.store, operation, fail)
    with caplog.at_level(logging.DEBUG):
        answer = api.simulate_request(method, CALL)
    assert (answer.status_code, answer.json["error"]) == (500, "internal")
    assert set(answer.json) == {"error", "detail", "status"}
    for told in (answer.text, caplog.text):
        assert "SECRET" not in told
        assert "1234567890" not in told
    assert "RuntimeError" not in answer.text
    assert "Traceback" not in answer.text
    assert "RuntimeError" in caplog.text  # the log says where
    assert "calls.py" in caplog.text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_redis_says_stays_in_the_log(
    api: TestClient, client: Redis, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    api.simulate_post(CALLS, body=BODY)
    client.delete("cti:{system-y}:call:5551234560:1234567890")
    client.set("cti:{system-y}:call:5551234560:1234567890", "4929-0000-SECRET", px=60_000)
    answer = api.simulate_request(method, CALL)
    assert (answer.status_code, answer.json["error"]) == (503, "redis_unavailable")
    for word in ("WRONGTYPE", "script", "Lua", "SECRET", "HMGET", "sha"):
        assert word not in answer.text
    assert "WRONGTYPE" in caplog.text
    assert "SECRET" not in caplog.text
