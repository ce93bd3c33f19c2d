"""One fault after the other befalls the service under load: nothing is lost, mistaken, left waiting or unexplained."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kit.checkout import ROOT
from kit.faults.fault import HEAD, LONG, SHORT, Fault, run
from kit.faults.on_clients import CLIENTS
from kit.faults.on_cluster import CLUSTER, Spread
from kit.faults.on_processes import KILLS, PROCESSES
from kit.faults.on_redis import BETWEEN, CLOCK, REDIS, Proxied, Single, Timed
from kit.faults.on_sentinel import SENTINEL, Replicated
from kit.faults.stage import Service, servers_told

if sys.platform == "win32":
    pytest.skip("these tests send signals", allow_module_level=True)

DOCUMENT = ROOT / "docs" / "faults.md"
ALL: list[tuple[Any, list[Fault[Any]]]] = [
    (Single, [*REDIS, *CLIENTS, *PROCESSES, KILLS]),
    (Proxied, BETWEEN),
    (Timed, CLOCK),
    (Replicated, SENTINEL),
    (Spread, CLUSTER),
]
IN_SHORT = {
    "batch": {"Redis killed", "READONLY", "SCRIPT FLUSH", "a worker killed", "clients disconnect at any moment"},
    "threads": {"connections to Redis reset", "replies of Redis lost"},
}


class Staging(NamedTuple):
    """What the faults befall."""

    kind: Any
    dispatch: str


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The long form has each fault under both dispatchers."""
    if "fault" not in metafunc.fixturenames:
        return
    chosen = []
    for kind, faults in ALL:
        for way, named in IN_SHORT.items():
            shared = Staging(kind, way)
            for fault in faults:
                if metafunc.config.getoption("--long") or fault.name in named:
                    staging = Staging(kind, way) if fault.alone else shared
                    chosen.append(pytest.param(staging, fault, id=f"{fault.name}, {way}"))
    metafunc.parametrize(("scene", "fault"), chosen, indirect=["scene"])


class Stagings:
    """One staging at a time, kept for as long as the next fault befalls the same."""

    def __init__(self) -> None:
        self._what: Staging | None = None
        self._made = ExitStack()
        self._scene: Any = None

    def scene(self, what: Staging, folder: Path) -> Any:
        """The service and what it stands on."""
        if what is not self._what:
            self.close()
            self._scene = self._made.enter_context(what.kind.made(folder, what.dispatch))
            self._what = what
        return self._scene

    def close(self) -> None:
        """End what is there."""
        self._what = None
        self._made.close()


@pytest.fixture(scope="module")
def stagings(request: pytest.FixtureRequest) -> Iterator[Stagings]:
    """In the long form services and workers start as a user's do: how long nobody serves is told to users."""
    with closing(Stagings()) as made, pytest.MonkeyPatch.context() as patch:
        if request.config.getoption("--long"):
            patch.setattr(Service, "begin", ("-m", "cticache"))
        yield made


@pytest.fixture
def scene(request: pytest.FixtureRequest, stagings: Stagings, tmp_path: Path) -> Any:
    """What the fault befalls."""
    return stagings.scene(request.param, tmp_path)


@pytest.fixture(scope="module")
def heading() -> list[str]:
    """What stands above the first row, and is told once."""
    return [f"The faults befell {servers_told()}", *HEAD.splitlines()]


def test_what_befalls_the_service(
    scene: Any, fault: Fault[Any], heading: list[str], tell: Callable[[str], None], long: bool
) -> None:
    if not scene:
        tell(f"{fault.name}: left out, for there is no libfaketime or no Valkey of a package here")
        return
    service = scene.service
    if not service.serves():  # what befell it before has ended it
        service.close()
        service.start()
    row = run(fault, scene, service, LONG if long else SHORT)
    while heading:
        tell(heading.pop(0))
    tell(row.told())
    assert not row.violations, "\n".join(row.violations[:10])
    assert not long or not row.slow, "\n".join(row.slow[:10])
    said = service.said()
    assert "Traceback" not in said
    assert not re.search(r"4930\d{6}", said), "a whole ANI is in the log"
    assert '"version"' not in said, "a value is in the log"


def test_the_document_has_a_row_for_each_fault_and_no_other() -> None:
    named = {(fault.name, way) for _, faults in ALL for fault in faults for way in IN_SHORT}
    rows = [line.split(" | ") for line in DOCUMENT.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert rows[0][0] == "| fault"
    assert {(cells[0].removeprefix("| "), cells[1]) for cells in rows[1:]} == named
