"""What is pasted or run on Windows names what is there: install.ps1, and web.config for IIS."""

import re
from xml.etree import ElementTree

import pytest

from cticache import cli
from cticache.config.sections import ServerConfig
from kit.checkout import CHECKOUT, ROOT

if not CHECKOUT:
    pytest.skip("the scripts are in a checkout alone", allow_module_level=True)

INSTALL = (ROOT / "scripts" / "windows" / "install.ps1").read_text("utf-8")
IIS = ROOT / "scripts" / "deploy" / "iis"


def test_the_installer_runs_commands_that_there_are() -> None:
    run = re.findall(r"\$cticache @\((.*?)\)", INSTALL)
    given = [re.sub(r"\$(\w+)", r"\1", line).replace("'", "").split(", ") for line in run]
    assert sorted(words[1] for words in given) == ["install", "start", "stop"]
    for words in given:
        assert cli.new_parser().parse_args(words).command.name == "service"


def test_the_installer_is_plain_text_for_powershell_5() -> None:
    assert INSTALL.isascii()  # it reads a file without a mark in the code page
    for opening, closing in ("()", "{}"):
        assert INSTALL.count(opening) == INSTALL.count(closing)


@pytest.mark.parametrize("name", ["web.config", "web.platform.config"])
def test_iis_is_kept_from_what_bites(name: str) -> None:
    server = ElementTree.parse(IIS / name).getroot().find("system.webServer")
    assert server is not None
    assert server.find("modules/remove[@name='WebDAVModule']") is not None
    assert server.find("security/requestFiltering[@allowDoubleEscaping='true']") is not None
    assert server.find("httpErrors[@existingResponse='PassThrough']") is not None


def test_the_path_is_passed_on_as_the_client_wrote_it() -> None:
    (action,) = ElementTree.parse(IIS / "web.config").getroot().iter("action")
    assert action.get("url") == f"http://{ServerConfig.host}:{ServerConfig.port}{{UNENCODED_URL}}"
    assert action.get("appendQueryString") == "false"  # it is in UNENCODED_URL


def test_what_iis_starts_is_the_service_with_its_port() -> None:
    (platform,) = ElementTree.parse(IIS / "web.platform.config").getroot().iter("httpPlatform")
    module, *words = str(platform.get("arguments")).split()[2:]
    assert module == "cticache"
    assert cli.new_parser().parse_args(words).command.name == "serve"
    variables = {each.get("name"): each.get("value") for each in platform.iter("environmentVariable")}
    assert variables["CTICACHE_SERVER_PORT"] == "%HTTP_PLATFORM_PORT%"
