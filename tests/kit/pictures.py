"""Pictures of the operator's page, of a service with a few calls."""

import tempfile
from pathlib import Path

from kit.browser import Browser
from kit.operated import Operated
from kit.servers import under_test

_WIDTH, _PHONE, _HEIGHT = 1000, 360, 760

_ELSEWHERE = """
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        text.data = text.data.replaceAll("%s", "/etc").replace(/^(cticache .* at).*/, "$1 ivr-gw1");
    }
"""
"""Shows where nothing is of the machine that takes the pictures."""


def take_all(folder: Path) -> None:
    """Take them into this folder."""
    folder.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        under_test() as (url, _),
        Browser(Path(scratch) / "browser") as browser,
    ):
        service = Operated(Path(scratch), url)

        def take(name: str) -> None:
            browser.run(_ELSEWHERE % scratch)
            (folder / f"{name}.png").write_bytes(browser.screenshot())

        def until(part: str, text: str) -> None:
            browser.wait_for(f"document.getElementById('{part}').innerText.includes('{text}')")

        try:
            browser.viewport(_WIDTH, _HEIGHT)
            calls = service.lease("sales", 9) + service.lease("pbx", 1)
            service.take(calls[:4])
            browser.go(service.url("/cticache/?pool=sales"))
            until("one", "exact 4")
            take("normal")
            service.take(service.lease("sales", 30)[:18])
            until("one", "exact 22")
            browser.evaluate("document.getElementById('opened').scrollIntoView()")
            take("burst")
            service.lease("support", 8)
            until("attention", "FULL support")
            browser.evaluate("scrollTo(0, 0)")
            take("exhausted")
            browser.scheme("dark")
            take("dark")
            browser.scheme("light")
            browser.viewport(_PHONE, _HEIGHT, phone=True)
            browser.evaluate("scrollTo(0, 0)")
            take("phone")
            browser.viewport(_WIDTH, _HEIGHT)
            service.redis.cut()
            until("attention", "Redis is away")
            take("redis-away")
        finally:
            service.close()
