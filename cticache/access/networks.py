"""Where a client is: its IP address, also behind a trusted proxy, and whether that is in some networks.

An address is text in the shortest form of its family (RFC 5952 for IPv6), without a zone and a port; an IPv6 address
that stands for an IPv4 one (``::ffff:192.0.2.1``, RFC 4291 section 2.5.5.2) is that.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network

from cticache.options import words

_Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address

_MOST_HOPS = 32
"""Proxies that a request may have come through; an X-Forwarded-For that names more of them is not believed."""
_LONGEST = 56
"""Characters of an address with brackets and a port; the cache keeps nothing longer."""
_REMEMBERED = 4096
"""Addresses whose reading is kept: about 1 MB."""
_MAPPED = IPv6Network("::ffff:0:0/96")
_SITE = 64
"""Bits that an IPv6 client's site has in common, all of whose addresses it can use (RFC 6177)."""
_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


class Networks:
    """A set of IP networks. Falsy when it is empty; it can be compared, and sent to another process."""

    def __init__(self, networks: Iterable[_Network] = ()) -> None:
        given = [_unmapped(network) for network in networks]
        four = collapse_addresses(network for network in given if isinstance(network, IPv4Network))
        six = collapse_addresses(network for network in given if isinstance(network, IPv6Network))
        self._networks: tuple[_Network, ...] = (*four, *six)
        self._ranges = {
            version: [
                (int(network.network_address), int(network.broadcast_address))
                for network in self._networks
                if network.version == version
            ]
            for version in (4, 6)
        }
        """The first and the last address of each network by version, in order; no two overlap."""

    @classmethod
    def parse(cls, text: str) -> "Networks":
        """Addresses and networks between commas or blanks; ValueError names the one that is none."""
        return cls(_network(word) for word in words(text))

    def contains(self, address: str) -> bool:
        """Whether this address is in one of them; what is no address is in none."""
        found = _read(address)
        return found is not None and self.has(found)

    def has(self, address: _Address) -> bool:
        """The same of an address that has been read."""
        value, ranges = int(address), self._ranges[address.version]
        at = bisect_right(ranges, value, key=_first) - 1
        return at >= 0 and value <= ranges[at][1]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Networks) and self._networks == other._networks

    def __hash__(self) -> int:
        return hash(self._networks)

    def __str__(self) -> str:
        return ", ".join(str(network).removesuffix("/32").removesuffix("/128") for network in self._networks)

    def __repr__(self) -> str:
        return f"Networks.parse({str(self)!r})"


NOWHERE = Networks()
"""No network at all."""


def trusted(text: str) -> Networks:
    """The networks of proxies; ValueError for one that would have everybody choose an address to come from."""
    for word in words(text):
        if _unmapped(_network(word)).prefixlen == 0:
            raise ValueError(f"{word!r} trusts everybody: name the proxies alone, as in 10.0.0.5 or 10.0.0.0/24")
    return Networks.parse(text)


def client_address(peer: str, x_forwarded_for: str, proxies: Networks) -> str:
    """The address that a request came from, behind trusted proxies as X-Forwarded-For has it.

    ``peer`` is the other end of the connection; ``x_forwarded_for`` the header, empty without one. Each proxy adds its
    own peer on the right, so that the right-most address that is no proxy's is the client's; whatever stands left of it
    the client may have made up. If all are proxies it is the left-most. Where a header that is to be believed cannot be
    read, it is the peer's own. The text of a peer that is no IP address is returned as it is.
    """
    own = _text(peer)
    if not x_forwarded_for or not proxies or not proxies.contains(peer):
        return own
    found = None
    for hop in reversed(x_forwarded_for.rsplit(",", _MOST_HOPS)):
        found = _read(hop.strip(" \t"))
        if not found:
            return own
        if not proxies.has(found):
            break
    return str(found)


def site(address: str) -> str:
    """What one client has of addresses: the address itself, of an IPv6 one its /64."""
    found = _read(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found) >> (128 - _SITE) << (128 - _SITE), _SITE)))
    return str(found) if found else address


def _first(bounds: tuple[int, int]) -> int:
    return bounds[0]


def _text(address: str) -> str:
    found = _read(address)
    return str(found) if found else address


def _read(text: str) -> _Address | None:
    return _parsed(text) if len(text) <= _LONGEST else None


@lru_cache(_REMEMBERED)
def _parsed(text: str) -> _Address | None:
    """The address, without brackets, port and zone; None when it is none."""
    if with_port := _PORT.fullmatch(text):
        text = with_port[1] or with_port[2]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _network(word: str) -> _Network:
    try:
        network = ip_network(word, strict=False)
    except ValueError:
        raise ValueError(
            f"{word!r} is no IP address or network: write it as in 10.0.0.5, 10.0.0.0/24 or fd00::/8"
        ) from (None)
    if str(network.network_address) != str(ip_address(word.partition("/")[0])):
        raise ValueError(
            f"{word!r} has bits set beyond its mask: write {network} for the network, or the address alone"
        )
    return network


def _unmapped(network: _Network) -> _Network:
    """The IPv4 network that an IPv6 one of mapped addresses stands for; any other as it is."""
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network
