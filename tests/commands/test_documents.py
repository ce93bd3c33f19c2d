"""What the commands print for programs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from cticache import cli
from cticache.data.store import Store
from cticache.numbering.pool import Pool
from kit import servers
from kit.aging import age, an_hour_passes
from kit.samples import at

Run = Callable[..., tuple[int, str, str]]
POOL = "[pool:system-y]\nnumbers = 100-104\n"


@pytest.fixture
def document(run: Run) -> Callable[..., Any]:
    """What a command prints with --json, and nothing beside it."""

    def document(pools: str, *arguments: str, code: int = 0) -> Any:
        ended, out, err = run(pools, *arguments, "--json")
        assert (ended, err) == (code, "")
        return json.loads(out)

    return document


def test_explain_has_the_fields_of_its_url(
    document: Callable[..., Any], store: Store, new_pool: Callable[..., Pool]
) -> None:
    dnis = store.lease(new_pool("100-104"), "2345678901", '"the value"', "ivr", 60_000).dnis
    told = document(POOL, "explain", dnis, "2345678901")
    assert told.keys() == {"dnis", "ani", "places"}
    (place,) = told["places"]
    assert (place["pool"], place["grade"], place["live"][0]["ani"]) == (
        "system-y",
        "exact",
        "\N{HORIZONTAL ELLIPSIS}901",
    )
    assert "the value" not in json.dumps(told)


def test_check_says_whether_all_is_well_and_what_is_not(document: Callable[..., Any]) -> None:
    told = document(f"{POOL}[user:bob]\ntoken = sha256:{'0' * 64}\npools =\n", "check", code=1)
    assert told.keys() == {"config", "well", "complaints", "seen"}
    assert told["well"] is False
    assert "user bob may do nothing: roles or pools are empty" in told["complaints"]
    assert "pool system-y: 5 numbers, 0 draining" in told["seen"]


def test_advise_tells_of_every_pool_and_of_its_busy_hour(
    document: Callable[..., Any], client: Redis, store: Store, new_pool: Callable[..., Pool]
) -> None:
    pool = new_pool("100-104")
    new_pool("200", name="idle")
    store.lease(pool, "1", "1", "x", 60_000)
    age(client, 2_000)
    store.take(at(pool, "100"), "1", "y")
    an_hour_passes(client)
    busy, idle = document(f"{POOL}[pool:idle]\nnumbers = 200\n", "advise")["pools"]
    assert (busy["pool"], busy["calls"], busy["size"], busy["busy"]["calls"]) == ("system-y", 1, 5, 1)
    assert busy["busy"]["start"].endswith(":00:00Z")
    assert {"blocking", "needed_for_1_percent", "suspects", "withheld"} <= busy.keys()
    assert idle == {"pool": "idle", "calls": 0, "refused": 0, "size": 1, "ttl_s": 300, "busy": None, "so_far": None}


def test_recipes_are_told_by_name_and_each_as_its_text(document: Callable[..., Any]) -> None:
    recipes = {each["recipe"]: each["about"] for each in document(POOL, "recipe")["recipes"]}
    assert recipes["curl"].endswith(".")
    told = document(POOL, "recipe", "curl")
    assert told["recipe"] == "curl"
    assert "pool=system-y" in told["text"]


@pytest.mark.parametrize(
    ("arguments", "code", "error", "piece"),
    [
        (["pools"], 1, "redis_unavailable", "Redis is away"),
        (["explain", "9", "1"], 1, "redis_unavailable", "Redis is away"),
        (["recipe", "crul"], 2, "mistake", "did you mean curl?"),
        (["check", "--config", "none.ini"], 2, "mistake", "there is no "),
        (["check", "--wrong"], 2, "usage", "--wrong"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_an_error_is_a_document_on_standard_error(
    arguments: list[str], code: int, error: str, piece: str, run: Run
) -> None:
    ended, out, err = run(POOL, *arguments, "--json", url=f"redis://127.0.0.1:{servers.free_port()}/0")
    told = json.loads(err)
    assert (ended, out, told.keys()) == (code, "", {"error", "detail"})
    assert told["error"] == error
    assert piece in told["detail"]


def test_a_document_is_utf_8_whatever_the_locale(redis_url: str, tmp_path: Path) -> None:
    """A locale is an interpreter's from its start."""
    (tmp_path / "\u00e4.ini").write_text(f"[redis]\nurl = {redis_url}\n{POOL}", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "cticache", "check", "--json", "--config", "\u00e4.ini"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert json.loads(done.stdout.decode())["config"] == "\u00e4.ini"


@pytest.mark.parametrize("command", ["serve", "user", "acl"])
def test_what_is_printed_to_be_pasted_has_no_other_form(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    assert "--json" not in capsys.readouterr().out
