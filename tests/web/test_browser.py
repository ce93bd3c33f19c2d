"""A page of another site in a real browser that has the operator's credentials."""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from falcon.testing import TestClient

from cticache.access.passwords import Verifier
from cticache.web.app import create_app
from cticache.web.audit import Audit
from cticache.web.front import Leniency
from kit.browser import Browser
from kit.running import MAX_BODY, Service, Wire
from kit.samples import PASSWORD, basic, user

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it is told what to do in pipes that are not there")

CALLS = "/cticache/DNIS-ANI"
DNIS, ANI = "5551234560", "1234567890"
PAGE = b"<!DOCTYPE html><title>evil</title><body></body>"
ATTACKS = """
    const key = calls + "/%(dnis)s:%(ani)s";
    const release = new URL("/cticache/release", calls).href;
    const lease = '{"value":"evil","ani":"666"}';
    const tries = [
        [calls, {method: "POST", body: lease}],
        [calls, {method: "POST", body: lease, headers: {"Content-Type": "text/plain"}}],
        [calls, {method: "POST", body: lease, headers: {"Content-Type": "application/json"}}],
        [calls, {method: "POST", body: new URLSearchParams({value: "evil", ani: "666"})}],
        [key, {method: "DELETE"}],
        [key, {method: "PUT", body: '{"value":"evil"}'}],
        [key, {method: "POST", body: new URLSearchParams({_method: "DELETE"})}],
        [key + "?_method=PUT", {method: "POST", body: '{"value":"evil"}'}],
        [key + "/take", {method: "POST"}],
        [key + "/take", {method: "GET"}],
        [calls + "?value=evil&ani=666", {method: "GET"}],
        [release, {method: "POST", body: JSON.stringify({pool: "system-y", user: "writer"})}],
        [release, {method: "POST", body: new URLSearchParams({pool: "system-y", dnis: "%(dnis)s", ani: "%(ani)s"})}],
    ];
    const said = [];
    for (const [url, options] of tries) for (const mode of ["no-cors", "cors"]) {
        try {
            const answer = await fetch(url, {...options, mode, credentials: "include"});
            said.push(await answer.text());
        } catch (error) {}
    }
    navigator.sendBeacon(key + "/take", "{}");
    const shown = (element) => new Promise((done) => {
        element.onload = element.onerror = done;
        document.body.append(element);
    });
    for (const url of [key + "/take", calls + "?value=evil&ani=666"]) {
        const image = new Image(); image.src = url; await shown(image);
        const frame = document.createElement("iframe"); frame.src = url; await shown(frame);
    }
    const forms = [[key + "/take", {}], [key, {_method: "DELETE"}], [calls, {value: "evil", ani: "666"}]];
    for (const [url, fields] of forms) {
        const frame = document.createElement("iframe"); frame.name = "f" + Math.random();
        document.body.append(frame);
        const form = document.createElement("form");
        Object.assign(form, {method: "POST", action: url, target: frame.name});
        for (const [name, value] of Object.entries(fields)) {
            const field = document.createElement("input");
            Object.assign(field, {name, value}); form.append(field);
        }
        document.body.append(form);
        const sent = new Promise((done) => { frame.onload = done; });
        form.submit();
        await sent;
    }
    return said.filter((text) => text).join();
"""


class _Evil(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own
        pass


@pytest.fixture
def evil_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Evil) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def service(service: Service, verifier: Verifier) -> Service:
    """With all that may be allowed, so that it is the origin that is refused."""
    reads = Leniency(get_writes=True, single_quotes=True)
    service.app = create_app(
        service.store, service.pools, verifier, service.keeper, audit=Audit(), max_body=MAX_BODY, reads=reads
    )
    return service


@pytest.fixture(scope="session")
def verifier() -> Verifier:
    """The operator, and one whom a GET serves, too."""
    users = [user("operator"), user("writer", roles=("lease", "read", "take"))]
    return Verifier(users, remember_s=3600, size=1000, many=1_000_000)


@pytest.mark.parametrize("dispatch", ["batch"], indirect=True)
@pytest.mark.parametrize("name", ["operator", "writer"])
def test_a_page_of_another_site_leases_takes_and_ends_nothing(
    wire: Wire, service: Service, evil_port: int, tmp_path: Path, name: str
) -> None:
    api = TestClient(service.app, headers={"Authorization": basic("writer")})
    leased = api.simulate_post(CALLS, body=json.dumps({"value": "v", "ani": ANI}))
    assert leased.json["dnis"] == DNIS
    ours = f"http://127.0.0.1:{wire.port}{CALLS}"
    attacks = f'const calls = "{ours}";' + ATTACKS % {"dnis": DNIS, "ani": ANI}
    with Browser(tmp_path) as browser:
        browser.go(f"http://{name}:{quote(PASSWORD)}@127.0.0.1:{wire.port}{CALLS}/{DNIS}:{ANI}")
        assert browser.run("return document.body.textContent") == '{"value":"v"}'
        for site in ("localhost", "127.0.0.1"):  # another site, and another origin of the same
            browser.go(f"http://{site}:{evil_port}/")
            assert browser.run(attacks) == ""  # nothing can be read, either
        figures = service.store.pool_stats(list(service.pools))
        assert [(pool.leased, pool.leased_total) for pool in figures] == [(1, 1), (0, 0)]
        still = api.simulate_get(f"{CALLS}/{DNIS}:{ANI}")
        assert (still.json, still.headers["etag"]) == ({"value": "v"}, leased.headers["etag"])
        # The browser has the credentials, and a page of this service may use them: only the origin stood in the way.
        browser.go(f"{ours}/{DNIS}:{ANI}")
        taken = browser.run(f'return (await fetch("{ours}/{DNIS}:{ANI}/take", {{method: "POST"}})).text()')
        assert taken == '{"value":"v"}'
