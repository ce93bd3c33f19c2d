"""The command line: cticache serve | check | user | acl | pools | advise | explain | recipe.

Exit codes: 0 all well; 1 Redis is away or refuses to work, check found what would not work or would lose data, or what
is printed cannot be written; 2 a mistake in the configuration or the command.
"""

import argparse
import io
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

from redis.exceptions import RedisError

from cticache import config, logs, reach, server
from cticache.access import passwords
from cticache.check import check
from cticache.data.counters import KEPT_HOURS
from cticache.data.scripts import read_scripts
from cticache.data.store import Store
from cticache.data.sync import learn_leaving
from cticache.errors import BadArgument, NoSuchCall, RedisUnavailable, UserError
from cticache.handover import places
from cticache.link.connection import connect
from cticache.link.embedded import Embedded, data_folder, is_imitated, socket_url
from cticache.link.trouble import told
from cticache.loop.signals import ended_by_signals
from cticache.numbering.ani import read
from cticache.numbering.pools import Pools, readings
from cticache.operate import acl, new_user, recipes
from cticache.operate.advice import Hour, advise
from cticache.operate.explain import explain
from cticache.operate.report import advice_lines, explain_lines, pool_lines
from cticache.options import NAME
from cticache.web.audit import Audit

_WELL, _TROUBLE, _MISTAKE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    logs.in_utf8(sys.stderr)
    if sys.platform == "win32":  # no code page but this has every character, and both streams may go to one file
        logs.in_utf8(sys.stdout)
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may have characters that a terminal lacks
    try:
        try:
            parsed = _parser().parse_args(arguments)
            with ended_by_signals(_WELL if parsed.run is _serve else _TROUBLE):
                code: int = parsed.run(parsed)
        finally:
            if sys.stdout:
                sys.stdout.flush()
    except UserError as error:
        return _fail(_MISTAKE, str(error))
    except RedisUnavailable as error:
        return _fail(_TROUBLE, told(error.__cause__))
    except RedisError as error:
        return _fail(_TROUBLE, told(error))
    except BadArgument as error:
        return _fail(_TROUBLE, f"a fault in cticache, please report it: {error}")
    except KeyboardInterrupt:
        return _TROUBLE
    except OSError as error:  # a full disk, a reader that has gone; errors of other files are handled where they occur
        _give_up(sys.stdout)
        return _fail(_TROUBLE, f"{error.filename or 'standard output'} cannot be used: {error.strerror or error}")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cticache",
        description="Hands a caller's data from one telephone system to another over the phone network alone.",
        epilog="Exit codes: 0 all well; 1 Redis is away, refuses or would lose data; 2 a mistake in the configuration.",
    )
    parser.add_argument("--version", action="version", version=f"cticache {version('cticache')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, run, text in (
        ("serve", _serve, "run the service until it is stopped"),
        ("check", _check, "validate the configuration, reach Redis, report what would not work or would lose data"),
        ("acl", _acl, "print a file of users for Redis: a user that may do what the service needs, and no more"),
        ("pools", _pools, "print how full each pool is, and what was done with it"),
        ("advise", _advise, "tell how many numbers and which TTL the last eight days ask for"),
        ("explain", _explain, "tell where a call's data went: what an ANI and DNIS lead to, step by step"),
        ("recipe", _recipe, "print what to paste into a telephone system, with this server's address in it"),
    ):
        command = commands.add_parser(name, help=text, description=_sentence(text))
        command.add_argument(
            "--config", type=Path, metavar="FILE", help="the config.ini; else ./config.ini, else the user's own"
        )
        command.set_defaults(run=run)
        if run is _acl:
            command.add_argument("--admin", metavar="NAME", help="print a user who may do everything, too")
        if run is _explain:
            command.add_argument("dnis", metavar="DNIS", help="the number called, as System Y saw it")
            command.add_argument("ani", metavar="ANI", help="the caller's number, as System Y saw it; '' if withheld")
        if run is _recipe:
            command.add_argument("name", metavar="NAME", nargs="?", help="which recipe; without it, all are listed")
            command.add_argument("--pool", metavar="POOL", help="the pool in it; else the first of the configuration")
            command.add_argument("--url", metavar="URL", help="the server in it, such as https://cti.example.com:8443")
    text = "print the section of a user, to paste into config.ini"
    command = commands.add_parser("user", help=text, description=_sentence(text))
    new_user.describe(command)
    command.set_defaults(run=new_user.run)
    return parser


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _serve(arguments: argparse.Namespace) -> int:
    logs.configure()
    server.serve(_config(arguments), lambda line: print(line, flush=True))
    return _WELL


def _check(arguments: argparse.Namespace) -> int:
    settings = _config(arguments)
    return _WELL if check(settings, lambda stack: _url(settings, stack, start=True), print) else _TROUBLE


def _acl(arguments: argparse.Namespace) -> int:
    settings = _config(arguments)
    admin = arguments.admin
    name, password = acl.credentials(settings.redis.url)
    if admin is not None and (not NAME.fullmatch(admin) or admin in (name, acl.DEFAULT)):
        raise UserError(f"--admin {admin}: give another name, of 1 to 64 of A-Z a-z 0-9 _ . -")
    if not password:
        password = passwords.invent()
        print(f"The password of {name} is {password}; write {name}:{password}@ into [redis] url", file=sys.stderr)
    owner = (admin, passwords.invent()) if admin else None
    if owner:
        print(f"The password of {owner[0]} is {owner[1]}", file=sys.stderr)
    else:
        print("Nobody may administer Redis under this file: add one with --admin NAME", file=sys.stderr)
    print(acl.everybody(name, password, settings.redis.prefix, acl.called(read_scripts()), owner))
    return _WELL


def _pools(arguments: argparse.Namespace) -> int:
    settings = _config(arguments)
    with ExitStack() as stack:
        stats = _open(settings, stack).pool_stats(settings.pools)
    print("\n".join(pool_lines(settings.pools, stats)))
    return _WELL


def _advise(arguments: argparse.Namespace) -> int:
    settings = _config(arguments)
    with ExitStack() as stack:
        store = _open(settings, stack)
        stats = store.pool_stats(settings.pools)
        for pool, figures in zip(settings.pools, stats, strict=True):
            advice = advise(
                [Hour.of(*hour) for hour in store.pool_hours(pool, KEPT_HOURS, running=False)],
                pool,
                {dnis: misses for dnis, misses in figures.missed.items() if dnis in pool.numbers},
            )
            print("\n".join(advice_lines(advice, pool.name)))
    return _WELL


def _explain(arguments: argparse.Namespace) -> int:
    settings = _config(arguments)
    pools = Pools(settings.pools)
    # Without a key each service has one of its own, and no log has a digest that is made here.
    key = settings.server.audit_key
    digest = Audit(key, enabled=bool(key) and settings.server.audit).logged
    with ExitStack() as stack:
        store = _open(settings, stack)
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
    print("\n".join(line for place in explained for line in explain_lines(place)))
    return _WELL


def _recipe(arguments: argparse.Namespace) -> int:
    """Print one recipe, or which there are; what is said in full needs no configuration."""
    if arguments.name is None:
        print("\n".join(recipes.listed()))
        return _WELL
    text = recipes.recipe(arguments.name)
    url = recipes.origin(arguments.url) if arguments.url else None
    if url and arguments.pool and not arguments.config:
        if not NAME.fullmatch(arguments.pool):
            raise UserError(f"--pool {arguments.pool}: a pool's name is 1 to 64 of A-Z a-z 0-9 _ . -")
        filling = recipes.Filling(url, arguments.pool)
    else:
        settings = _config(arguments)
        pools = {pool.name: pool for pool in settings.pools}
        pool = pools.get(arguments.pool) if arguments.pool else settings.pools[0]
        if not pool:
            raise UserError(f"--pool {arguments.pool}: there is no such pool in {settings.source}")
        lessee, taker = (recipes.who(settings.users, pool.name, role) for role in ("lease", "take"))
        filling = recipes.Filling(url or _address(settings), pool.name, pool.without_data, lessee, taker)
    print(recipes.filled(text, filling))
    return _WELL


def _address(settings: config.Config) -> str:
    """Where clients find the service, as far as its configuration tells."""
    host = settings.server.host if settings.users else "127.0.0.1"
    if not settings.server.port:
        raise UserError(f"{settings.source}: [server] port = 0 is another one at each start: say --url")
    if host in ("0.0.0.0", "::"):  # noqa: S104 - what it listens on, and nothing that could be asked
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"


def _open(settings: config.Config, stack: ExitStack) -> Store:
    """The store of a running service."""
    runner = reach.new_runner(_url(settings, stack, start=False), settings.redis, stack)
    store, scripts = reach.new_store(runner, settings)
    scripts.load()
    return store


def _config(arguments: argparse.Namespace) -> config.Config:
    return config.read(config.find(arguments.config), os.environ)


def _url(settings: config.Config, stack: ExitStack, *, start: bool) -> str:
    """The URL of the configured Redis; else of the embedded one, if a service runs it or ``start`` says to start it."""
    url = settings.redis.url
    if not url and is_imitated():
        raise UserError(
            f"{settings.source}: [redis] url is empty: `cticache serve` has an imitation of Redis in its own memory, "
            "for a first try. No other command can look into it, and every call is lost when the service ends; while "
            "it runs, GET /cticache/pools, /cticache/explain and /metrics tell. Set [redis] url to a Redis"
        )
    if not url:
        folder = data_folder(settings.redis.data)
        url = socket_url(folder)
        if not _pings(url, settings.redis.timeout):
            if not start:
                raise UserError(f"the embedded server in {folder} is not running: start it with `cticache serve`")
            embedded = Embedded(folder)
            stack.callback(embedded.stop)
            embedded.start()
            url = embedded.url
    return url


def _pings(url: str, timeout: float) -> bool:
    with connect(url, timeout) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False


def _fail(code: int, message: str) -> int:
    try:
        for line in message.splitlines():
            print(f"cticache: {line}", file=sys.stderr)
    except OSError:
        _give_up(sys.stderr)
    return code


def _give_up(stream: TextIO | None) -> None:
    """Write no more to this stream: at exit the interpreter would complain, in its own words, of what is left in it."""
    if stream:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
