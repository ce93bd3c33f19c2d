"""``cticache acl``: a file of users for Redis."""

import argparse
import sys

from cticache.access import passwords
from cticache.commands.command import WELL, Command
from cticache.commands.opening import configured
from cticache.data.scripts import read_scripts
from cticache.errors import UserError
from cticache.operate import acl
from cticache.options import NAME


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--admin", metavar="NAME", help="print a user who may do everything, too")


def _run(arguments: argparse.Namespace) -> int:
    settings = configured(arguments)
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
    return WELL


ACL = Command(
    "acl",
    "print a file of users for Redis: a user that may do what the service needs, and no more",
    _run,
    _declare,
)
