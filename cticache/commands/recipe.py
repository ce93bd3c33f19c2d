"""``cticache recipe``: what to paste into a telephone system."""

import argparse

from cticache.commands import document
from cticache.commands.command import WELL, Command
from cticache.commands.opening import address, configured
from cticache.errors import UserError
from cticache.operate import recipes
from cticache.options import NAME


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="which recipe; without it, all are listed")
    parser.add_argument("--pool", metavar="POOL", help="the pool in it; else the first of the configuration")
    parser.add_argument("--url", metavar="URL", help="the server in it, such as https://cti.example.com:8443")


def _run(arguments: argparse.Namespace) -> int:
    """Print one recipe, or which there are; what is said in full needs no configuration."""
    if arguments.name is None:
        listed = recipes.listed()
        if arguments.json:
            document.write({"recipes": [{"recipe": name, "about": about} for name, about in listed.items()]})
        else:
            width = max(map(len, listed))
            print("\n".join(f"{name:{width}}  {about}" for name, about in listed.items()))
        return WELL
    text = recipes.recipe(arguments.name)
    url = recipes.origin(arguments.url) if arguments.url else None
    if url and arguments.pool and not arguments.config:
        if not NAME.fullmatch(arguments.pool):
            raise UserError(f"--pool {arguments.pool}: a pool's name is 1 to 64 of A-Z a-z 0-9 _ . -")
        filling = recipes.Filling(url, arguments.pool)
    else:
        settings = configured(arguments)
        pools = {pool.name: pool for pool in settings.pools}
        pool = pools.get(arguments.pool) if arguments.pool else settings.pools[0]
        if not pool:
            raise UserError(f"--pool {arguments.pool}: there is no such pool in {settings.source}")
        lessee, taker = (recipes.who(settings.users, pool.name, role) for role in ("lease", "take"))
        filling = recipes.Filling(url or address(settings), pool.name, pool.without_data, lessee, taker)
    text = recipes.filled(text, filling)
    if arguments.json:
        document.write({"recipe": arguments.name, "text": text})
    else:
        print(text)
    return WELL


RECIPE = Command(
    "recipe",
    "print what to paste into a telephone system, with this server's address in it",
    _run,
    _declare,
    has_json=True,
)
