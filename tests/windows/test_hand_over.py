"""The exchange on Windows, by one process and by several."""

import json

import pytest

from kit.sites import Site, ask, port_of
from kit.talk import CALLS


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_call_is_handed_over_once(site: Site, dispatch: str, workers: int) -> None:
    port = port_of(site.start(workers, dispatch))
    for ani in ("1234567890", "1234567891", "1234567892", "1234567893"):  # by whichever worker
        value = f"of {ani}, \u00e4\u6f22"
        leased = ask(port, "POST", CALLS, json.dumps({"value": value, "ani": ani}))
        assert (leased.status, leased.body["value"]) == (201, value)
        call = f"{CALLS}/{leased.body['dnis']}:{ani}"
        assert ask(port, "GET", call) == (200, {"value": value})
        assert ask(port, "PUT", call)[0] == 200
        assert ask(port, "DELETE", call) == (200, {"value": value})
        assert ask(port, "GET", call).status in (404, 410)
    assert ask(port, "GET", "/readyz").status == 200
