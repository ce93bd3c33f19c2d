"""Wrong passwords, counted for all services on one Redis."""

from zlib import crc32

from cticache.data.replies import FailedLogins
from cticache.data.store.asking import Asking

_SITE_BUCKETS = 4096
"""Counts of a minute that all addresses share: about 200 KB. Who shares one with a guesser waits behind others."""


class Logins(Asking):
    """What is counted of wrong passwords."""

    def login_failed(self, user: str, site: str, again: int = 0) -> tuple[int, int]:
        """Count a wrong password of a user (``@unknown``: a name that is no user's) and of the site it came from.

        ``again``: count so many instead that were known to be wrong, which are no guesses. Returns how many guesses
        both have had in this minute and the one before, in all services on this Redis; sites share a bounded number of
        counts.
        """
        of_user, of_site = self._run(
            "login_failed",
            self._keys.login_failed(),
            user=user,
            bucket=crc32(site.encode()) % _SITE_BUCKETS,
            again=again,
        )
        return of_user, of_site

    def login_failures(self) -> FailedLogins:
        """How many wrong passwords there have been."""
        return FailedLogins.of(self._run("login_failures", self._keys.login_failures()))
