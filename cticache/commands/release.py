"""``cticache release``: end a call, or all that a user holds, without handing the data over."""

import argparse
from contextlib import ExitStack

from cticache.commands import consent, document
from cticache.commands.command import WELL, Command
from cticache.commands.opening import configured, opened
from cticache.data.replies import Leased
from cticache.data.store import Store
from cticache.data.sync import learn_leaving
from cticache.errors import Gone, NoSuchCall, UserError
from cticache.numbering.ani import read
from cticache.numbering.pool import Pool
from cticache.numbering.pools import Pools
from cticache.operate.leases import release, release_all, spelled, token_of

_ASKED = {"means": "The data goes to nobody.", "otherwise": "nothing was ended"}


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dnis", metavar="DNIS", nargs="?", help="the number that was leased")
    parser.add_argument("ani", metavar="ANI", nargs="?", help="the caller's number; '' if withheld")
    parser.add_argument(
        "--pool", metavar="POOL", help="the pool: may be left out with DNIS ANI, or if there is but one"
    )
    parser.add_argument("--user", metavar="USER", help="end all that this user holds in the pool")
    consent.declare(parser)


def _run(arguments: argparse.Namespace) -> int:
    if bool(arguments.user) == (arguments.dnis is not None):
        raise UserError("say either --user USER, or DNIS ANI")
    if not arguments.user and arguments.ani is None:
        raise UserError("say the ANI, too: '' if it is withheld")
    settings = configured(arguments)
    pools = Pools(settings.pools)
    with ExitStack() as stack:
        store = opened(settings, stack)
        learn_leaving(store, pools)
        pool = _pool(pools, arguments.pool, arguments.dnis)
        released = _released(arguments, pools, pool, store)
    if arguments.json:
        document.write({"released": released})
    else:
        print(f"released {released}")
    return WELL


def _released(arguments: argparse.Namespace, pools: Pools, pool: Pool, store: Store) -> int:
    """How many leases were ended; UserError where nobody confirms it, or none was.

    Only what was there at the answer is ended, however long that takes.
    """
    if arguments.user:
        consent.ask(arguments, f"End all leases of user {arguments.user} in pool {pool.name}", **_ASKED)
        until_ms = store.pool_leases(pool, user=arguments.user, limit=1).now_ms
        ended: list[Leased] = []
        while release_all(store, pool, arguments.user, ended, until_ms=until_ms):
            pass
        if not ended:
            raise UserError(f"nothing was ended: user {arguments.user} holds no lease in pool {pool.name}")
        return len(ended)
    try:
        ani = pool.canonical(read(arguments.ani).bare)
    except ValueError as error:
        raise UserError(f"the ANI {arguments.ani!r} {error}") from None
    dnis = spelled(pools, pool, arguments.dnis)
    try:
        token = token_of(store, pool, dnis, ani)
        consent.ask(arguments, f"End the call on {dnis} in pool {pool.name}", **_ASKED)
        release(store, pool, dnis, ani, token)
    except NoSuchCall:
        raise UserError(
            f"nothing was ended on {dnis}: no call with this very ANI is live there, or it was leased anew meanwhile; "
            "see `cticache explain`"
        ) from None
    except Gone as gone:
        raise UserError(f"nothing was ended on {dnis}: {gone}") from None
    return 1


def _pool(pools: Pools, name: str | None, dnis: str | None) -> Pool:
    """The pool of this name; without one the only pool, or the only one that has the number or had it lately."""
    if name is not None:
        if not (pool := pools.get(name)):
            raise UserError(f"--pool {name}: there is no such pool in the configuration")
        return pool
    found = list(pools)
    if dnis is not None and len(found) > 1:
        having = {place.pool.name for place in pools.of(dnis)}
        found = [pool for pool in found if pool.name in having]
    if not found:
        raise UserError(f"{dnis} is a number of no pool: compare it with `numbers`")
    if len(found) > 1:
        raise UserError(f"say --pool, of {', '.join(pool.name for pool in found)}")
    return found[0]


RELEASE = Command(
    "release", "end a call, or all that a user holds, without handing the data over", _run, _declare, has_json=True
)
