"""axe-core, which finds what keeps people out of a page: one version of it, brought by npm once and then kept."""

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from platformdirs import user_cache_path

from kit.browser import Browser

_VERSION = "4.14.1"
_SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
_RUN = """
    const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const found = await axe.run(document, {runOnly: rules});
    return found.violations.map(({id, nodes}) => [id, nodes.map((node) => node.html + node.failureSummary)]);
"""


def findings(browser: Browser) -> Any:
    """What is wrong with the page that is shown: each rule, and the elements that break it."""
    browser.evaluate(_script())
    return browser.run(_RUN)


def _script() -> str:
    kept = user_cache_path("cticache-tests") / f"axe-core-{_VERSION}.tgz"
    if not _is_it(kept):
        kept.parent.mkdir(parents=True, exist_ok=True)
        _bring(kept)
    with tarfile.open(kept) as package:
        script = package.extractfile("package/axe.min.js")
        assert script
        return script.read().decode()


def _bring(kept: Path) -> None:
    npm = shutil.which("npm")
    assert npm, f"there is no npm here: install it, or put {kept.name} into {kept.parent}"
    with TemporaryDirectory(dir=kept.parent) as folder:
        subprocess.run([npm, "pack", "--silent", f"axe-core@{_VERSION}"], cwd=folder, check=True, capture_output=True)
        (packed,) = Path(folder).iterdir()
        assert _is_it(packed), f"{packed.name} is another one than was pinned"
        packed.replace(kept)  # at once, should others bring it too


def _is_it(package: Path) -> bool:
    return package.exists() and hashlib.sha256(package.read_bytes()).hexdigest() == _SHA256
