"""``cticache leases``: who holds what, values hidden."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from cticache.commands import document
from cticache.commands.command import WELL, Command
from cticache.commands.opening import configured, opened
from cticache.data.replies import FIRST_PAGE, Cursor
from cticache.data.store import Store
from cticache.data.sync import learn_leaving
from cticache.errors import UserError
from cticache.logs import escaped
from cticache.numbering.pools import Pools
from cticache.operate.leases import spelled, told
from cticache.web.audit import Audit

_PAGE = 200


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pool", metavar="POOL", help="only this pool; else all of the configuration")
    parser.add_argument("--user", metavar="USER", help="only what this user leased")
    parser.add_argument("--dnis", metavar="DNIS", help="only what is on this number")
    parser.add_argument(
        "--older", metavar="SECONDS", type=_seconds, default=0, help="only what was leased so long ago or longer"
    )


def _run(arguments: argparse.Namespace) -> int:
    for option in ("pool", "user", "dnis"):
        if getattr(arguments, option) == "":  # of a script whose variable is not set
            raise UserError(f"--{option}: name one, or leave it out for all")
    settings = configured(arguments)
    # Without a key each service has one of its own, and no log has a digest that is made here.
    audit_key = settings.server.audit_key
    digest = Audit(audit_key, enabled=bool(audit_key and settings.server.audit)).logged
    pools = Pools(settings.pools)
    if arguments.pool and not pools.get(arguments.pool):
        raise UserError(f"--pool {arguments.pool}: there is no such pool in {settings.source}")
    with ExitStack() as stack:
        store = opened(settings, stack)
        learn_leaving(store, pools)
        found = _leases(arguments, pools, store, digest)
        if arguments.json:
            document.write({"leases": [*found]})
        else:
            for lease in found:
                print(escaped(_line(lease)))
    return WELL


def _leases(
    arguments: argparse.Namespace, pools: Pools, store: Store, digest: Callable[[str], str]
) -> Iterator[dict[str, Any]]:
    """The live leases that are asked for, pool by pool, those first that end first."""
    for pool in pools:
        if arguments.pool not in (None, pool.name):
            continue
        dnis = spelled(pools, pool, arguments.dnis) if arguments.dnis else ""
        seen: set[str] = set()  # a lease whose time is started again may be on two pages
        after: Cursor | None = FIRST_PAGE
        while after:
            page = store.pool_leases(
                pool, user=arguments.user or "", dnis=dnis, older_s=arguments.older, after=after, limit=_PAGE
            )
            after = page.after
            for lease in page.leases:
                if lease.token not in seen:
                    seen.add(lease.token)
                    yield told(pool, lease, page.now_ms, digest)


def _line(lease: dict[str, Any]) -> str:
    digest = f", digest {lease['digest']}" if lease["digest"] else ""
    asked = "asked for" if lease["asked"] else "not asked for"
    return (
        f"{lease['pool']} {lease['dnis']}: {lease['ani']} ({lease['digits']} digits{digest}), "
        f"leased by {lease['user']} {lease['age_s']} s ago, ends in {lease['expires_in']} s, {asked}, "
        f"token {lease['token']}"
    )


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds")
    return int(text)


LEASES = Command("leases", "list who holds what: the live leases, values hidden", _run, _declare, has_json=True)
