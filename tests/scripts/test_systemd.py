"""scripts/deploy/systemd: the unit is one that systemd takes, and it goes with the service."""

import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from cticache import cli
from cticache.config.sections import ServerConfig
from kit.checkout import CHECKOUT, ROOT

if not CHECKOUT:
    pytest.skip("the scripts are in a checkout alone", allow_module_level=True)
if sys.platform != "linux":
    pytest.skip("there is no systemd", allow_module_level=True)

UNIT = ROOT / "scripts" / "deploy" / "systemd" / "cticache.service"
LINUX = (ROOT / "docs" / "linux.md").read_text("utf-8")
OPERATE = (ROOT / "docs" / "operate.md").read_text("utf-8")


def option(name: str) -> str:
    """Of an option that is there once, what it says."""
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(UNIT.read_text("utf-8"))
    return unit["Service"][name]


def said(*command: object) -> str:
    ran = subprocess.run([*map(str, command)], capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_systemd_finds_nothing_wrong_in_it(tmp_path: Path) -> None:
    here = tmp_path / UNIT.name
    text = UNIT.read_text("utf-8").replace("ExecStart=/opt/cticache/current/bin/cticache", "ExecStart=/bin/sh")
    here.write_text(text, "utf-8")
    assert said("systemd-analyze", "verify", "--man=no", here) == ""


def test_the_unit_of_two_services_is_made_from_it_as_the_document_says(tmp_path: Path) -> None:
    text = UNIT.read_text("utf-8").replace("ExecStart=/opt/cticache/current/bin/cticache", "ExecStart=/bin/sh")
    (tmp_path / UNIT.name).write_text(text, "utf-8")
    (command,) = re.findall(r"^sed .*\\\n.*$", OPERATE, re.MULTILINE)
    said("bash", "-c", command.replace("/etc/systemd/system", str(tmp_path)))
    made = tmp_path / "cticache@.service"
    assert "[Service]\nEnvironment=CTICACHE_SERVER_PORT=%i\n" in made.read_text("utf-8")
    assert said("systemd-analyze", "verify", "--man=no", made) == ""


def test_its_exposure_is_what_the_document_says() -> None:
    told = said("systemd-analyze", "security", "--offline=true", UNIT)
    (level,) = re.findall(r"exposure level for cticache.service: ([\d.]+)", told)
    assert re.findall(r"exposure of (\d\.\d)", LINUX) == [level]


def test_its_command_is_one_of_the_program() -> None:
    program, *arguments = shlex.split(option("ExecStart"))
    assert (Path(program).name, cli.new_parser().parse_args(arguments).command.name) == ("cticache", "serve")


def test_it_is_given_the_time_to_stop_in_order() -> None:
    assert int(option("TimeoutStopSec")) > ServerConfig.drain + ServerConfig.stop_timeout + 60
    assert option("KillMode") == "mixed"


def test_the_folder_of_the_embedded_server_is_the_one_that_may_be_written_to() -> None:
    assert option("Environment") == f"CTICACHE_REDIS_DATA=/var/lib/{option('StateDirectory')}"
    assert option("ProtectSystem") == "strict"
