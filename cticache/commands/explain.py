"""``cticache explain``: where a call's data went."""

import argparse
from contextlib import ExitStack

from cticache.commands import document
from cticache.commands.command import WELL, Command
from cticache.commands.opening import configured, opened
from cticache.data.sync import learn_leaving
from cticache.errors import NoSuchCall, UserError
from cticache.handover import places
from cticache.logs import escaped
from cticache.numbering.ani import read
from cticache.numbering.pools import Pools, readings
from cticache.operate.explain import explain
from cticache.operate.report import explain_lines
from cticache.web.audit import Audit


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dnis", metavar="DNIS", help="the number called, as System Y saw it")
    parser.add_argument("ani", metavar="ANI", help="the caller's number, as System Y saw it; '' if withheld")


def _run(arguments: argparse.Namespace) -> int:
    settings = configured(arguments)
    pools = Pools(settings.pools)
    # Without a key each service has one of its own, and no log has a digest that is made here.
    key = settings.server.audit_key
    digest = Audit(key, enabled=bool(key) and settings.server.audit).logged
    with ExitStack() as stack:
        store = opened(settings, stack)
        learn_leaving(store, pools)
        try:
            found = places(pools, arguments.dnis)
        except NoSuchCall:
            raise UserError(
                f"{arguments.dnis} is a number of no pool in {settings.source}: compare it with `numbers`"
            ) from None
        try:
            found_there = readings(found, read(arguments.ani).bare)
        except ValueError as error:
            raise UserError(f"the ANI {arguments.ani!r} {error}") from None
        explained = [explain(store, place, arguments.ani, digest) for place, _ in found_there]
    if arguments.json:
        document.write({"dnis": arguments.dnis, "ani": arguments.ani, "places": explained})
    else:
        print("\n".join(escaped(line) for place in explained for line in explain_lines(place)))
    return WELL


EXPLAIN = Command(
    "explain",
    "tell where a call's data went: what an ANI and DNIS lead to, step by step",
    _run,
    _declare,
    has_json=True,
)
