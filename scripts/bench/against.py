"""This checkout beside another commit of it: what a request costs the service and Redis, and what each script costs."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import quantiles
from zipfile import ZipFile

from load import Load, measure
from processes import Programs
from record import middle
from report import table
from sections import described
from servers import ROOT, Servers, importing

_THIS, _THAT = "this", "that"
_LOADS = (Load("get", 64), Load("post", 64), Load("handoff", 64))
_WARM_S = 0.6
_TURNS, _TURN_S = 6, 0.3
"""How often each of the two is measured for one ratio, and for how long each time."""

Turn = Callable[[], dict[str, float]]
"""Measures once: what is measured -> microseconds of CPU."""


class Against:
    """The two, measured in turns."""

    def __init__(self, programs: Programs, folder: Path, revision: str) -> None:
        self._trees = {_THIS: ROOT, _THAT: _unpacked(revision, folder)}
        for tree in self._trees.values():
            _insist_on(tree)
        changes = ", with changes" if _git("status", "--porcelain", "--untracked-files=no") else ""
        self._commits = f"This checkout is {_commit('HEAD')}{changes}; that is {_commit(revision)}."
        self._servers = Servers(programs, folder, self._trees)
        self._costs: dict[str, list[tuple[float, float]]] = defaultdict(list)
        """What is measured -> microseconds of CPU for the one and the other, pair by pair."""
        self._errors: list[str] = []

    def measure(self, pairs: int) -> None:
        """Measure this many more pairs of figures of each kind, each on processes of its own.

        One and the same code differs by up to a tenth from process to process, by where its memory happens to lie.
        """
        self._start()
        with ExitStack() as stack:
            kinds: list[dict[str, Turn]] = [
                {name: partial(self._serve, name, load) for name in self._trees} for load in _LOADS
            ]
            kinds.append(
                {
                    name: stack.enter_context(_scripts(tree, self._servers.config(name)))
                    for name, tree in self._trees.items()
                }
            )
            for at in range(pairs):
                print(f"pair {at + 1} of {pairs}", flush=True)
                if at:
                    self._start()
                for turns in kinds:
                    self._add(turns)

    def _start(self) -> None:
        """Start both anew, and warm them up."""
        for name in self._trees:
            self._servers.end(name)
            for load in _LOADS:
                measure(self._servers.get(name), load, _WARM_S, self._servers.redis_pid)

    def report(self) -> str:
        """What was found, in Markdown."""
        heads = ("", "this", "that", "ratio", "middle half", "all")
        return "\n\n".join(
            [
                self._commits,
                "CPU time, user and system, in microseconds: of the service and of Redis a request (a hand-off is "
                "two), and of Redis a call of a script. Each figure is the median of all pairs, each on processes of "
                "its own, with a ratio this / that: below 1 this checkout is cheaper.",
                table(heads, map(_row, self._costs.items())),
                *([f"Errors: {'; '.join(self._errors)}."] if self._errors else []),
            ]
        )

    def _serve(self, name: str, load: Load) -> dict[str, float]:
        figures = measure(self._servers.get(name), load, _TURN_S, self._servers.redis_pid)
        if figures.errors:
            self._errors.append(f"{described(load)}, {name}: {figures.what}")
        return {f"{described(load)}: service": figures.cpu_us, f"{described(load)}: Redis": figures.redis_us}

    def _add(self, turns: dict[str, Turn]) -> None:
        """One pair: the medians of short turns, so that anything that disturbs the machine disturbs both alike."""
        found: dict[str, list[dict[str, float]]] = defaultdict(list)
        for at in range(_TURNS):
            for name in (_THIS, _THAT) if at % 2 == 0 else (_THAT, _THIS):
                found[name].append(turns[name]())
        for what in found[_THIS][0]:
            # A cost of 0 means that nothing was answered, which is among the errors.
            this, that = (middle([one[what] for one in found[name] if one[what]]) for name in (_THIS, _THAT))
            self._costs[what].append((this, that))


def _row(entry: tuple[str, list[tuple[float, float]]]) -> tuple[str, ...]:
    what, pairs = entry
    ratios = [here / there for here, there in pairs]
    low, _, high = quantiles(ratios, n=4, method="inclusive")
    return (
        what,
        *(f"{middle(list(costs)):.1f}" for costs in zip(*pairs, strict=True)),
        f"{middle(ratios):.3f}",
        f"{low:.3f} to {high:.3f}",
        f"{min(ratios):.3f} to {max(ratios):.3f}",
    )


@contextmanager
def _scripts(tree: Path, config: Path) -> Iterator[Turn]:
    """The scripts of a tree, run by its own store, in a process that ends with this."""
    program = Path(__file__).parent / "script_costs.py"
    with subprocess.Popen(
        [sys.executable, str(program), str(config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | importing(tree),
        start_new_session=True,
    ) as process:

        def turn() -> dict[str, float]:
            print(file=process.stdin, flush=True)
            line = process.stdout.readline()  # type: ignore[union-attr]
            if not line:
                raise RuntimeError(f"{program.name} has ended; it says above why")
            return {f"{script}.lua: Redis": cost for script, cost in json.loads(line).items()}

        yield turn


def _unpacked(revision: str, folder: Path) -> Path:
    """The files of a commit, in a folder of their own."""
    archive, tree = folder / "that.zip", folder / "that"
    _git("archive", "--format=zip", f"--output={archive}", revision)
    with ZipFile(archive) as files:
        files.extractall(tree)
    return tree


def _insist_on(tree: Path) -> None:
    """RuntimeError unless what is served there is the cticache of this tree."""
    command = [sys.executable, "-c", "import cticache; print(cticache.__file__)"]
    found = subprocess.run(command, env=os.environ | importing(tree), capture_output=True, text=True, check=False)
    if Path(found.stdout.strip()).resolve() != (tree / "cticache" / "__init__.py").resolve():
        raise RuntimeError(f"the cticache of {tree} is not the one that is found: {found.stdout}{found.stderr}")


def _commit(revision: str) -> str:
    return _git("log", "-1", '--format=%h, "%s"', revision)


def _git(*arguments: str) -> str:
    """What git prints; SystemExit with its words if it fails."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
