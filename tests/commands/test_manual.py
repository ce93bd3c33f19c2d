"""The pages of the manual."""

import re

import pytest

from cticache.cli import COMMANDS, new_parser
from cticache.commands.manual import pages
from kit.checkout import ROOT

WRITTEN = ROOT / "docs" / "man"


def test_the_pages_are_those_of_the_command_line() -> None:
    """Else run scripts/manpages.py."""
    assert {page.name: page.read_text("utf-8") for page in WRITTEN.iterdir()} == pages(new_parser())


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_each_command_has_a_page_with_all_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        new_parser().parse_args([command, "--help"])
    page = pages(new_parser())[f"cticache-{command}.1"].replace(r"\-", "-")
    for option in set(re.findall(r"--[a-z-]+", capsys.readouterr().out)):
        assert rf"\fB{option}\fR" in page
    assert rf"\fBcticache-{command}\fR(1)" in pages(new_parser())["cticache.1"].replace(r"\-", "-")


def test_no_text_can_be_taken_for_a_request_to_the_typesetter() -> None:
    for text in pages(new_parser()).values():
        for line in text.splitlines():
            assert not line.startswith("'")
            assert re.match(r"\.(TH|SH|TP|PP|B) ?|[^.]", line)
            assert not re.search(r"(?<!\\)-", line)
