"""scripts/deploy/docker: image and compose go with the service. scripts/containers.py builds and runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kit.checkout import CHECKOUT, ROOT

if not CHECKOUT:
    pytest.skip("the scripts are in a checkout alone", allow_module_level=True)
if sys.platform != "linux":
    pytest.skip("the image is of Linux", allow_module_level=True)

import yaml

from cticache import cli
from cticache.config.reader import Reader
from cticache.config.sections import ServerConfig

DOCKER = ROOT / "scripts" / "deploy" / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text("utf-8")
SERVICES = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))["services"]


def test_without_an_engine_it_says_so_and_exits_with_69(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "containers.py")]
    done = subprocess.run(
        command, env=os.environ | {"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == "no Docker engine answers, or there is no compose: on Debian, install docker-compose\n"


def words_of(instruction: str) -> list[list[str]]:
    """The words of each such instruction in the form that no shell reads."""
    return [yaml.safe_load(found) for found in re.findall(rf"\b{instruction} (\[.*\])", DOCKERFILE)]


def test_the_commands_of_the_image_are_those_of_the_program() -> None:
    entry, (health, served) = words_of("ENTRYPOINT"), words_of("CMD")
    assert entry == [[health[0]]]
    parse = cli.new_parser().parse_args
    assert [parse(health[1:]).command.name, parse(served).command.name] == ["health", "serve"]


def test_what_image_and_compose_set_are_options(tmp_path: Path) -> None:
    (tmp_path / "redis.url").write_text("redis://h", "utf-8")
    (tmp_path / "config.ini").write_text("[pool:x]\nnumbers = 1\n", "utf-8")
    image = dict(re.findall(r"(CTICACHE_\w+)=(\S+)", DOCKERFILE))
    compose = {name: str(tmp_path / Path(place).name) for name, place in SERVICES["cticache"]["environment"].items()}
    read = Reader(tmp_path / "config.ini", image | compose).config()
    assert (read.server.host, read.redis.url, read.unheeded) == ("0.0.0.0", "redis://h", ())


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_is_shut_off_from_what_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(place.startswith("127.0.0.1:") for place in service.get("ports", []))


def test_the_service_is_given_the_time_to_stop_in_order() -> None:
    grace = int(SERVICES["cticache"]["stop_grace_period"].removesuffix("s"))
    assert grace > ServerConfig.drain + ServerConfig.stop_timeout + 60


def test_redis_keeps_what_it_has_taken() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes --maxmemory-policy noeviction --aclfile " in command


def test_no_image_has_more_than_its_layer_of_wheels() -> None:
    *_, last = DOCKERFILE.split("\nFROM ")
    assert re.findall(r"^(COPY|RUN|ADD)\b", last, re.MULTILINE) == ["COPY"]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)
