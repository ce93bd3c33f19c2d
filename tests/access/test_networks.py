"""Which address a request came from, and in which networks that is."""

import pickle
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cticache.access import networks
from cticache.access.networks import NOWHERE, Networks, client_address, site

PROXIES = Networks.parse("10.0.0.0/24, 192.0.2.7, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "header", "address"),
    [
        pytest.param("203.0.113.9", "", "203.0.113.9", id="no proxy"),
        pytest.param("203.0.113.9", "198.51.100.1", "203.0.113.9", id="a client that says it is a proxy"),
        pytest.param("10.0.0.5", "", "10.0.0.5", id="a proxy of its own accord"),
        pytest.param("10.0.0.5", "198.51.100.1", "198.51.100.1", id="behind a proxy"),
        pytest.param("10.0.0.5", "1.1.1.1, 198.51.100.1", "198.51.100.1", id="what the client made up is on the left"),
        pytest.param("10.0.0.5", "10.0.0.9,1.1.1.1 ,\t198.51.100.1", "198.51.100.1", id="made up as if by a proxy"),
        pytest.param("10.0.0.5", "1.1.1.1, 198.51.100.1, 192.0.2.7, fd00::1", "198.51.100.1", id="three proxies"),
        pytest.param("10.0.0.5", "10.0.0.9, 10.0.0.8", "10.0.0.9", id="nobody but proxies"),
        pytest.param("10.0.0.5", "nonsense, 198.51.100.1", "198.51.100.1", id="nonsense that is not reached"),
        pytest.param("10.0.0.5", "198.51.100.1, nonsense", "10.0.0.5", id="nonsense that is"),
        pytest.param("10.0.0.5", "198.51.100.1, nonsense, 10.0.0.6", "10.0.0.5", id="nonsense behind a proxy"),
        pytest.param("10.0.0.5", "198.51.100.1,", "10.0.0.5", id="nothing after the comma"),
        pytest.param("10.0.0.5", "unknown", "10.0.0.5", id="a word of RFC 7239"),
        pytest.param("10.0.0.5", "198.51.100.01", "10.0.0.5", id="leading zeros"),
        pytest.param("10.0.0.5", "198.51.100", "10.0.0.5", id="three parts"),
        pytest.param("10.0.0.5", "1" * 10_000, "10.0.0.5", id="long"),
        pytest.param("10.0.0.5", "198.51.100.1:4711", "198.51.100.1", id="with a port"),
        pytest.param("10.0.0.5", "[2001:DB8:0:0::1]:4711", "2001:db8::1", id="IPv6 with a port"),
        pytest.param("10.0.0.5", "[2001:db8::1]", "2001:db8::1", id="IPv6 in brackets"),
        pytest.param("10.0.0.5", "2001:db8::1", "2001:db8::1", id="IPv6"),
        pytest.param("10.0.0.5", "[198.51.100.1", "10.0.0.5", id="half a bracket"),
        pytest.param("10.0.0.5", "2001:db8::1%eth0", "2001:db8::1", id="with a zone"),
        pytest.param("10.0.0.5", "::ffff:198.51.100.1", "198.51.100.1", id="mapped client"),
        pytest.param("::ffff:10.0.0.5", "198.51.100.1", "198.51.100.1", id="mapped proxy"),
        pytest.param("::ffff:203.0.113.9", "", "203.0.113.9", id="mapped peer"),
        pytest.param("10.0.0.5", ", ".join(["198.51.100.1", *["10.0.0.6"] * 32]), "198.51.100.1", id="32 proxies"),
        pytest.param("10.0.0.5", ", ".join(["198.51.100.1", *["10.0.0.6"] * 33]), "10.0.0.5", id="too many hops"),
        pytest.param("", "198.51.100.1", "", id="the server does not say"),
        pytest.param("localhost", "198.51.100.1", "localhost", id="a Unix socket"),
    ],
)
def test_a_request_came_from_the_first_address_on_the_right_that_is_no_proxy(
    peer: str, header: str, address: str
) -> None:
    assert client_address(peer, header, PROXIES) == address
    assert client_address(peer, header, NOWHERE) == client_address(peer, "", PROXIES)


@given(made_up=st.text(max_size=40), peer=st.ip_addresses().map(str), client=st.ip_addresses().map(str))
def test_no_header_of_a_client_moves_it_to_another_address(made_up: str, peer: str, client: str) -> None:
    proxies = Networks.parse(peer)
    if not proxies.contains(client):
        assert client_address(peer, f"{made_up},{client}", proxies) == client_address(client, "", NOWHERE)
        assert client_address(client, made_up, proxies) == client_address(client, "", NOWHERE)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("10.0.0.0/24", "10.0.0.0 10.0.0.255 ::ffff:10.0.0.1", "9.255.255.255 10.0.1.0 ::a00:1"),
        ("10.0.0.5", "10.0.0.5 ::ffff:a00:5", "10.0.0.4 10.0.0.6"),
        ("::ffff:10.0.0.0/120", "10.0.0.9 ::ffff:10.0.0.9", "10.0.1.0 ::ffff:10.0.1.0"),
        ("2001:db8::/32", "2001:db8:: 2001:DB8:ffff::1", "2001:db9::"),
        ("10.0.0.0/8\n10.1.0.0/16, 10.1.2.3", "10.0.0.1 10.1.2.3 10.255.0.0", "11.0.0.0"),
        ("1.0.0.0/8 3.0.0.0/8 5.0.0.0/8", "1.9.9.9 3.0.0.0 5.255.255.255", "0.0.0.0 2.0.0.0 4.4.4.4 6.0.0.0"),
        ("0.0.0.0/0", "0.0.0.0 255.255.255.255", "::1"),
        ("", "", "10.0.0.5 ::1"),
    ],
)
def test_an_address_is_in_a_network_or_not(text: str, inside: str, outside: str) -> None:
    found = Networks.parse(text)
    assert bool(found) == bool(text)
    assert all(found.contains(address) for address in inside.split())
    assert not any(found.contains(address) for address in [*outside.split(), "", "nonsense", "1" * 1000])


@given(
    listed=st.lists(st.tuples(st.ip_addresses(), st.integers(0, 32)), max_size=4),
    address=st.ip_addresses(),
)
def test_it_is_where_each_network_alone_would_have_it(listed: list[tuple[object, int]], address: object) -> None:
    each = [ip_network(f"{base}/{bits}", strict=False) for base, bits in listed]
    mapped = getattr(address, "ipv4_mapped", None) or address
    inside = any(mapped in network for network in each if network.version == mapped.version)
    assert Networks(each).contains(str(address)) == inside


def test_networks_are_compared_shown_and_sent_to_other_processes() -> None:
    found = Networks.parse("10.0.1.0/24 10.0.0.0/24, 10.0.0.5, ::1")
    assert found == Networks.parse("::1, 10.0.0.0/23") == pickle.loads(pickle.dumps(found))
    assert hash(found) == hash(Networks.parse("::1, 10.0.0.0/23"))
    assert str(found) == "10.0.0.0/23, ::1"
    assert repr(found) == "Networks.parse('10.0.0.0/23, ::1')"
    assert found != NOWHERE


@pytest.mark.parametrize(
    ("address", "has"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("localhost", "localhost"),
    ],
)
def test_all_addresses_of_one_site_are_one_client(address: str, has: str) -> None:
    assert site(address) == has


def test_what_is_kept_of_addresses_is_bounded() -> None:
    for at in range(20_000):
        PROXIES.contains(str(ip_address(at)))
        PROXIES.contains(f"{at:0100d}")
    kept = networks._parsed.cache_info()
    assert kept.maxsize is not None
    assert kept.currsize == kept.maxsize
