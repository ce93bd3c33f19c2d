"""``cticache health``: whether the service on this machine is ready, for a container and whoever starts it."""

import argparse
import json
from contextlib import suppress
from typing import Any

from cticache.commands import document
from cticache.commands.command import TROUBLE, WELL, Command
from cticache.commands.opening import configured
from cticache.commands.probe import NoAnswer, probed

_OK = 200


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--live", action="store_true", help="only whether it is up: /healthz in place of /readyz, whatever Redis does"
    )


def _run(arguments: argparse.Namespace) -> int:
    path = "/healthz" if arguments.live else "/readyz"
    try:
        status, body = probed(configured(arguments), path)
    except NoAnswer as error:
        status, body = 0, json.dumps({"detail": str(error)})
    said = _read(body)
    if arguments.json:
        document.write({"well": status == _OK, "status": status or None, "said": said})
    else:
        print(said.get("status", "well") if status == _OK else said.get("detail", f"it answers {status}"))
    return WELL if status == _OK else TROUBLE


def _read(body: str) -> dict[str, Any]:
    """The answer; nothing where something else is on that port."""
    with suppress(ValueError):
        said = json.loads(body)
        if isinstance(said, dict):
            return said
    return {}


HEALTH = Command(
    "health",
    "ask the service on this machine whether it is ready",
    _run,
    _declare,
    has_json=True,
)
