"""scripts/wine.py, which runs tests on Python for Windows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.checkout import CHECKOUT, ROOT

if not CHECKOUT:
    pytest.skip("the scripts are in a checkout alone", allow_module_level=True)


def test_without_wine_it_says_so_and_exits_with_69(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "wine.py")]
    done = subprocess.run(
        command, env=os.environ | {"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == "there is no wine on PATH: on Debian, install wine, wine64 and redis-server\n"
