"""The operator's page in a real browser: it keeps itself up to date, can be used with the keyboard, and by anybody."""

import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kit import axe
from kit.browser import Browser
from kit.operated import Operated

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it is told what to do in pipes that are not there")
SECRET = "value-that-nobody-sees"
ROW = "[...document.querySelectorAll('.pools tbody tr')].find((row) => row.cells[0].textContent === '{}').innerText"
NAME = """(({id, name, innerText, ariaLabel}) => id || name || ariaLabel || innerText)(document.activeElement)"""
"""What to call the element that has the focus."""
TEXT = "document.getElementById('{}').innerText"


@pytest.fixture(scope="module")
def service(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    running = Operated(tmp_path_factory.mktemp("service"), redis_url)
    yield running
    running.close()


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Browser) -> Iterator[Browser]:
    """The browser of the module, put back; what went wrong in the page is a failure of the test."""
    one_browser.viewport(1280)
    one_browser.scheme("light")
    one_browser.complaints.clear()
    yield one_browser
    assert not one_browser.complaints


def test_a_burst_is_seen_while_it_lasts_and_a_pool_opened(service: Operated, browser: Browser) -> None:
    browser.go(service.url("/cticache/?pool=sales"))
    assert browser.evaluate("document.title").endswith("cticache")
    calls = service.lease("sales", 20, SECRET)
    browser.wait_for(ROW.format("sales") + ".includes('40 %')")
    service.take(calls[:3])
    browser.wait_for(TEXT.format("one") + ".includes('exact 3 (100 %)')")
    assert "ivr 17" in browser.evaluate(TEXT.format("one"))
    assert browser.evaluate("document.querySelectorAll('#one svg rect').length") >= 2


def test_what_needs_attention_is_said_in_words_and_told_once(service: Operated, browser: Browser) -> None:
    browser.go(service.url())
    assert not browser.evaluate(TEXT.format("said"))
    service.lease("support", 6)
    browser.wait_for(TEXT.format("attention") + ".includes('CRIT FULL support FULL: none of 5 numbers is free')")
    assert "FULL support" in browser.evaluate(TEXT.format("said"))
    assert "FULL" in browser.evaluate(ROW.format("support"))
    assert browser.evaluate("document.title").startswith("(")
    assert browser.evaluate("document.querySelectorAll('[role=status], [aria-live]').length") == 1


def test_the_page_stays_while_redis_is_away_and_says_so(service: Operated, browser: Browser) -> None:
    browser.go(service.url("/cticache/?pool=sales"))
    service.redis.cut()
    try:
        browser.wait_for(TEXT.format("state") + ".includes('AWAY Redis is away')")
        browser.wait_for(TEXT.format("attention") + ".includes('CRIT REDIS')")
        assert "NOT READY" in browser.evaluate(TEXT.format("state"))
        browser.wait_for(TEXT.format("rows") + ".includes('3 of them as last known, ')")
        assert " ago" in browser.evaluate(ROW.format("support"))
    finally:
        service.redis.restore()
    browser.wait_for(TEXT.format("state") + ".includes('OK at')")
    browser.wait_for("document.querySelectorAll('.pools tbody tr').length === 3")


def test_it_says_when_it_is_no_longer_up_to_date_and_until_when(service: Operated, browser: Browser) -> None:
    browser.go(service.url())
    browser.offline(now=True)
    browser.wait_for(TEXT.format("said") + ".includes('no longer up to date: The service does not answer.')")
    browser.offline(now=False)
    browser.wait_for("!" + TEXT.format("said") + ".includes('no longer')")
    browser.complaints.clear()  # its own words for that


def test_times_are_utc_unless_local_ones_are_wanted(service: Operated, browser: Browser) -> None:
    browser.go(service.url())
    first = "document.querySelector('time').innerText"
    assert browser.evaluate(first).endswith("Z")
    browser.evaluate("document.getElementById('local').click()")
    browser.wait_for(first + " === new Date(document.querySelector('time').dateTime).toLocaleString()")


def test_nothing_is_shown_without_the_right_password_and_role(service: Operated, browser: Browser) -> None:
    with pytest.raises(AssertionError, match="ERR_INVALID_AUTH_CREDENTIALS"):
        browser.go(f"http://localhost:{service.port}/cticache/")  # another site, for which it has none
    browser.complaints.clear()  # its own word for that
    for path in ("/cticache", "/cticache/", "/cticache/page.js", "/cticache/page.css"):
        answer = service.ask("GET", path, name="ivr")
        assert (answer.status, answer.json["error"]) == (403, "forbidden")
        answer = service.ask("GET", path, name="nobody")
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Basic realm=")  # so a browser asks who it is


def test_a_question_that_is_told_twice_that_it_is_over_is_acted_on_once(service: Operated, browser: Browser) -> None:
    """As where the browser is busy, and tells of the question before when this one is over, too."""
    ((dnis, _),) = service.lease("pbx")
    browser.go(service.url("/cticache/?leases=1&pool=pbx#leases"))
    browser.evaluate(f"document.querySelector('button.release[data-dnis=\"{dnis}\"]').click()")
    browser.evaluate(
        "{const asks = document.querySelector('dialog[open]');"
        "asks.close('release'); asks.dispatchEvent(new Event('close'))}"
    )
    browser.wait_for(TEXT.format("said") + f" === '{dnis} is released.'")
    browser.wait_for(TEXT.format("held") + ".includes('None on this page')")


def test_a_lease_is_released_after_a_question(service: Operated, browser: Browser) -> None:
    ((dnis, ani),) = service.lease("pbx")
    browser.go(service.url("/cticache/?leases=1&pool=pbx#leases"))
    press = f"document.querySelector('button.release[data-dnis=\"{dnis}\"]').click()"
    browser.evaluate(press)
    assert dnis in browser.wait_for("document.querySelector('dialog[open] h2').innerText")
    browser.press("Escape")
    browser.wait_for("!document.querySelector('dialog[open]')")
    assert service.ask("GET", f"/cticache/DNIS-ANI/{dnis}:{ani}").status == 200
    browser.evaluate(press)
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.value") == "release"
    browser.press("Enter")
    browser.wait_for(TEXT.format("said") + f" === '{dnis} is released.'")
    browser.wait_for(TEXT.format("held") + " === 'None on this page.'")
    assert service.ask("DELETE", f"/cticache/DNIS-ANI/{dnis}:{ani}").status == 410


def test_who_only_watches_is_offered_no_release_and_sees_no_other_pool(service: Operated, browser: Browser) -> None:
    service.lease("sales")
    text = service.ask("GET", "/cticache/?leases=1&pool=sales", name="looker").content.decode()
    assert "4930901820" in text
    assert 'class="release"' not in text
    assert "support" not in text
    assert "pbx" not in text


def test_it_is_used_with_the_keyboard_alone(service: Operated, browser: Browser) -> None:
    browser.go(service.url("/cticache/?pool=sales"))
    reached = []
    while not reached or reached[-1] != "Requests by status":
        browser.press("Tab")
        reached.append(browser.evaluate(NAME))
    assert reached[:4] == ["Skip to the pools", "pause", "local", "JSON"]
    rest = iter(reached)
    for each in (
        "3 pools",
        "sales",
        "The last hour by minute",
        "dnis",
        "ani",
        "Explain",
        "pool",
        "user",
        "dnis",
        "List",
    ):
        assert each in rest, f"{each} is not reached in its turn: {reached}"
    browser.evaluate("document.activeElement.blur()")
    browser.press("/")
    assert browser.evaluate("document.activeElement.name") == "filter"
    browser.type("bx")
    browser.wait_for("document.querySelectorAll('.pools tbody tr').length === 1")
    assert browser.evaluate("location.search") == "?pool=sales&filter=bx&show=all&sort=used"
    assert browser.evaluate("document.activeElement.value") == "bx"


def test_a_focus_stays_where_it_is_while_rows_move(service: Operated, browser: Browser) -> None:
    browser.go(service.url("/cticache/?sort=used&filter=s"))
    link = "document.querySelector('.pools a[href=\"?pool={}#opened\"]')"
    first = browser.evaluate("document.querySelector('.pools a').innerText")
    browser.evaluate(link.format(first) + ".focus()")
    assert first == "support"
    browser.evaluate("document.querySelector('[name=sort]').value = 'name'")
    browser.evaluate("document.querySelector('[name=sort]').dispatchEvent(new Event('input', {bubbles: true}))")
    browser.wait_for("document.querySelector('.pools a').innerText === 'sales'")
    assert browser.evaluate("document.activeElement.innerText") == "support"


def test_a_pause_lasts_until_it_is_ended_and_the_list_can_be_narrowed_down_in_it(
    service: Operated, browser: Browser
) -> None:
    browser.go(service.url())
    browser.evaluate("document.getElementById('pause').click()")
    browser.press("/")
    browser.type("pbx")
    browser.wait_for("document.querySelectorAll('.pools tbody tr').length === 1")
    before = browser.evaluate(TEXT.format("state"))
    time.sleep(1.1)  # page_refresh is 0.2 s, and a time is told to the second
    assert browser.evaluate(TEXT.format("state")) == before
    browser.evaluate("document.getElementById('pause').click()")
    browser.wait_for(TEXT.format("state") + f" !== {before!r}")


def test_a_call_is_found_without_its_ani_in_a_url(service: Operated, browser: Browser) -> None:
    ((dnis, ani),) = service.lease("sales", value=SECRET)
    browser.go(service.url())
    browser.evaluate("document.querySelector('#asking [name=dnis]').focus()")
    browser.type(dnis)
    browser.press("Tab")
    browser.type(ani)
    browser.press("Enter")
    browser.wait_for(TEXT.format("found") + ".includes('It is found')")
    assert ani not in browser.evaluate("location.href")
    assert SECRET not in browser.evaluate("document.documentElement.outerHTML")


def test_it_can_be_read_and_used_without_its_script(service: Operated, browser: Browser) -> None:
    ((dnis, ani),) = service.lease("sales")
    browser.scripts(on=False)
    try:
        browser.go(service.url("/cticache/?pool=sales&leases=1"))
        text = browser.evaluate("document.body.innerText")
        for part in ("OK at", "Redis", "Needs attention", "support", "Lease to take", dnis, "Requests by status"):
            assert part in text
        assert "Pause" not in text
        assert "Release" not in text
        browser.evaluate(f"document.querySelector('#asking [name=dnis]').value = '{dnis}'")
        browser.evaluate(f"document.querySelector('#asking [name=ani]').value = '{ani}'")
        browser.evaluate("document.querySelector('#asking button').click()")
        browser.wait_for("document.readyState === 'complete' && " + TEXT.format("found") + ".includes('It is found')")
    finally:
        browser.scripts(on=True)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 320)])
def test_it_keeps_nobody_out(service: Operated, browser: Browser, scheme: str, width: int) -> None:
    browser.viewport(width, phone=width < 400)
    browser.scheme(scheme)
    ((dnis, ani),) = service.lease("sales")
    browser.go(service.url("/cticache/?pool=sales&leases=1"))
    browser.run(f"""
        document.querySelector('#asking [name=dnis]').value = '{dnis}';
        document.querySelector('#asking [name=ani]').value = '{ani}';
        document.querySelector('#asking button').click();
        for (const each of document.querySelectorAll('details')) each.open = true;
    """)
    browser.wait_for(TEXT.format("found") + ".includes('It is found')")
    assert axe.findings(browser) == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width  # 320 is 1280 at 400 %


class _Framing(BaseHTTPRequestHandler):
    page = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own
        pass


def test_a_page_of_another_origin_cannot_frame_it(service: Operated, browser: Browser) -> None:
    browser.go(service.url())  # it has the credentials from here on
    with ThreadingHTTPServer(("127.0.0.1", 0), _Framing) as server:
        threading.Thread(target=server.serve_forever).start()
        _Framing.page = f'<!DOCTYPE html><iframe src="http://127.0.0.1:{service.port}/cticache/"></iframe>'.encode()
        browser.go(f"http://127.0.0.1:{server.server_address[1]}/")
        server.shutdown()
    assert browser.evaluate("document.querySelector('iframe').contentDocument") is None
    assert any("frame-ancestors" in each for each in browser.complaints)
    browser.complaints.clear()


def test_nothing_that_is_secret_is_in_any_of_it(service: Operated, browser: Browser) -> None:
    ((dnis, ani),) = service.lease("sales", value=SECRET)
    posted = f"dnis={dnis}&ani=9{ani}"
    told = [
        service.ask("GET", "/cticache/?pool=sales&leases=1", name="boss"),
        service.ask("POST", "/cticache/?pool=sales&leases=1", posted, name="boss"),
        service.ask("GET", "/cticache/status?pool=sales", name="boss"),
        service.ask("GET", "/cticache/page.js", name="boss"),
    ]
    for answer in told:
        assert answer.status == 200
        text = answer.content.decode()
        assert SECRET not in text
        assert ani not in text.replace(f"9{ani}", "")  # what was asked for
    browser.go(service.url("/cticache/?pool=sales&leases=1"))
    assert ani not in browser.evaluate("document.documentElement.outerHTML")


def test_the_script_makes_no_text_into_html(service: Operated, tmp_path: Path) -> None:
    script = service.ask("GET", "/cticache/page.js", name="boss").content.decode()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way not in script
