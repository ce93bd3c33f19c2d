"""Tries each mutation in a copy of the tree: its tests must fail, and not merely because the code does not run."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apart
from rows import ROOT, Mutation, WrongRows, read

_LEAVE_OUT = shutil.ignore_patterns(".git", ".venv*", ".wine", "__pycache__", ".*_cache", ".hypothesis", "dist")
_TESTED = "--tested"
"""The argument that says that all tests have just passed with nothing changed."""
_QUARTER = "--quarter"
"""The argument that chooses a quarter of them, each commit another one: all of them take twenty minutes."""
_TESTS_FAILED = 1
"""pytest's exit status; any other means that the tests could not be run."""
_DOES_NOT_RUN = re.compile("does not compile|SyntaxError|ImportError|NameError|nonexistent global variable")
_PACKAGED = "import sys; sys.path.insert(0, 'tests'); from kit import servers; print(servers.packaged())"


def main() -> int:
    """Try the mutations that the arguments choose; 1 when one survives."""
    words = [word for word in sys.argv[1:] if word not in (_TESTED, _QUARTER)]
    try:
        mutations = read()
    except WrongRows as error:
        print(error)
        return 1
    chosen = [each for each in mutations if not words or any(word in " ".join(each[:3]) for word in words)]
    if _QUARTER in sys.argv:
        chosen = chosen[_of_the_commit() % 4 :: 4]
    if not chosen:
        print("no mutation has one of these words")
        return 1
    if "TEST_REDIS" not in os.environ and (binary := _packaged()):
        os.environ["TEST_REDIS"] = f"binary:{binary}"
    shared = os.environ.get("TEST_REDIS", "").startswith(("redis", "unix"))
    survived: list[str] = []
    # Twice as many as there are cores, and one: many tests do nothing for seconds but wait for what never comes.
    with ThreadPoolExecutor(1 if shared else 2 * (os.cpu_count() or 1) + 1) as at_once:
        all_of_them = sorted({test for each in chosen for test in each.tests})
        unchanged = None if _TESTED in sys.argv else at_once.submit(_run, ROOT, *all_of_them)
        tries = at_once.map(_try, chosen)
        status, lines = unchanged.result() if unchanged else (0, [])
        if status:
            at_once.shutdown(cancel_futures=True)
            print("\n".join(["the tests do not pass with nothing changed", *lines]))
            return 1
        for each, (killed, told) in zip(chosen, tries, strict=True):
            line = f"{'killed  ' if killed else 'SURVIVED'}  {each.file}: {each.what} ({told})"
            survived += [] if killed else [line]
            print(line, flush=True)
    print("\n".join([f"{len(chosen)} mutations, {len(survived)} survived", *survived]))
    return 1 if survived else 0


def _try(mutation: Mutation) -> tuple[bool, str]:
    """Whether a test failed on the mutated copy, and the last line that the tests wrote, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=_LEAVE_OUT)
        file = copy / mutation.file
        file.write_text(file.read_text("utf-8").replace(mutation.old, mutation.new), "utf-8")
        status, lines = _run(copy, *mutation.tests)
    broken = [line for line in lines if _DOES_NOT_RUN.search(line)]
    return status == _TESTS_FAILED and not broken, (broken or lines)[-1]


def _run(tree: Path, *tests: str) -> tuple[int | None, list[str]]:
    """pytest's exit status for these tests, run until one fails, and the lines it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        output, status = Path(folder) / "output", Path(folder) / "status"
        running = apart.PROCESSES.Process(target=apart.test, args=(tree, output, status, tests))
        running.start()
        running.join()
        said = output.read_text("utf-8", "replace").strip() if output.exists() else ""
        code = int(status.read_text("utf-8")) if status.exists() else running.exitcode
    return code, said.splitlines() or ["no test ran"]


def _of_the_commit() -> int:
    """A number that is another one for each commit."""
    git = shutil.which("git") or "git"
    told = subprocess.run([git, "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return int(told.stdout.strip() or "0", 16)


def _packaged() -> str:
    """A server program that needs no Docker; empty if there is none."""
    found = subprocess.run([sys.executable, "-c", _PACKAGED], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
