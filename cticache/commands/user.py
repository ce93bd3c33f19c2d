"""``cticache user``: the section of a user."""

from cticache.commands.command import Command
from cticache.operate import new_user

USER = Command(
    "user",
    "print the section of a user, to paste into config.ini",
    new_user.run,
    new_user.describe,
    has_config=False,
)
