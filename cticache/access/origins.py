"""Under which hosts browsers know this service, by the origin of a page (RFC 6454)."""

from collections.abc import Iterable

from cticache.options import words

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Origins:
    """Hosts, each with its port, which may be left out where it is the scheme's own.

    They can be compared, and sent to another process.
    """

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._hosts = frozenset(hosts)

    @classmethod
    def parse(cls, text: str) -> "Origins":
        """Hosts or origins between commas or blanks; ValueError says which is none."""
        return cls(map(_host, words(text)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Origins) and other._hosts == self._hosts

    def __hash__(self) -> int:
        return hash(self._hosts)

    def __str__(self) -> str:
        return ", ".join(sorted(self._hosts))

    def has(self, origin: str, host: str) -> bool:
        """Whether the page of this origin is this service's own, which was asked under this Host."""
        scheme, _, named = origin.strip().lower().partition("://")
        port = _DEFAULT_PORTS.get(scheme, "")
        named = named.removesuffix(port)
        if not named:
            return False
        return named == host.strip().lower().removesuffix(port) or not self._hosts.isdisjoint((named, named + port))


def _host(word: str) -> str:
    scheme, separator, host = word.lower().rpartition("://")
    if not host or any(mark in host for mark in "/?#@*") or (separator and scheme not in _DEFAULT_PORTS):
        raise ValueError(f"has {word}, which is no host such as cti.example.com or cti.example.com:8443")
    return host.removesuffix(_DEFAULT_PORTS.get(scheme, ""))


NOWHERE = Origins()
"""No host but that of the request."""
