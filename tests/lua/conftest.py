"""What is tested here the store promises wherever Redis is, and however it is asked."""

import pytest

from kit.topologies import TOPOLOGIES, WAYS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what needs a server on the topology that is asked for, in the long form on each; both ways."""
    chosen = metafunc.config.getoption("--topology")
    if "runner" not in metafunc.fixturenames or not (chosen or metafunc.config.getoption("--long")):
        return
    topologies = [chosen] if chosen else TOPOLOGIES
    if metafunc.definition.get_closest_marker("one_server"):
        topologies = [each for each in topologies if each == "single"]
    if topologies:
        metafunc.parametrize("way", WAYS, indirect=True, scope="session")
        metafunc.parametrize("topology", topologies, indirect=True, scope="session")
