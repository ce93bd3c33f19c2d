"""A refusal is its class; what is documented of it, and what a script may say, follow from the classes."""

import json
import re

import pytest

from cticache.data.scripts import read_scripts
from cticache.errors import BadArgument, Refusal, WrongFields, refusals
from kit.checkout import ROOT

KINDS = list(refusals())
TROUBLES = ROOT / "docs" / "troubles.md"


def made(kind: type[Refusal]) -> Refusal:
    return WrongFields({"ani": ["Missing."]}) if kind is WrongFields else kind("A sentence.", retry_after=1)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_its_body_has_its_code_status_and_sentence(kind: type[Refusal]) -> None:
    refusal = made(kind)
    body = json.loads(refusal.body())
    assert list(body)[:3] == ["error", "detail", "status"]
    assert (body["error"], body["detail"], body["status"]) == (kind.code, str(refusal), kind.status)
    assert body.get("fields") == getattr(refusal, "fields", None)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_it_has_a_sentence_of_its_own_or_is_given_one(kind: type[Refusal]) -> None:
    if kind.says:
        assert re.fullmatch(r"[A-Z][^\n]+\.|[A-Z][^\n]+again\.", kind.says)
        assert str(kind()) == kind.says
    else:
        with pytest.raises(TypeError):
            kind()


def test_the_documented_table_has_every_status_and_code_and_no_other() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \| \S.+ \|$", TROUBLES.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert {(int(status), code) for status, code in rows} == {(kind.status, kind.code) for kind in KINDS}


def test_every_code_of_the_scripts_has_its_class_and_every_class_its_script() -> None:
    codes = re.findall(r"error_reply\(['\"]([A-Z]+) ", "".join(read_scripts().values()))
    # A key that holds what it should not is told as Redis tells of one, and is for the operator.
    assert set(codes) - {"WRONGTYPE"} == {kind.script for kind in KINDS if kind.script} | {BadArgument.script}
