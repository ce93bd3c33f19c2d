"""The URL of Redis: what it names, what it may contain, and what is wrong with one that cannot be used."""

import re
import sys
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from cticache.link import tls_files

Address = tuple[str, int]
"""Host and port."""
_PORTS = {"": 6379, "sentinel": 26379, "cluster": 6379}


def kind(url: str) -> str:
    """The kind of servers that a URL names: ``sentinel``, ``cluster``, or empty for a server that stands alone."""
    return url.partition("://")[0].partition("+")[2]


def addresses(url: str) -> list[Address]:
    """The server, the sentinels or the nodes that a URL names; ValueError if it cannot be read."""
    places = [urlsplit(f"//{place}") for place in urlsplit(url).netloc.rpartition("@")[2].split(",")]
    usual = _PORTS[kind(url)]
    return [(unquote(place.hostname or ""), usual if place.port is None else place.port) for place in places]


def node_url(url: str, address: Address) -> str:
    """The URL of one node of a cluster, with the credentials and options of the cluster's."""
    parts = urlsplit(url)
    credentials, at, _ = parts.netloc.rpartition("@")
    host = quote(address[0], safe=":")
    place = f"[{host}]" if ":" in host else host
    return f"{parts.scheme.partition('+')[0]}://{credentials}{at}{place}:{address[1]}/0?{parts.query}"


def shown(url: str) -> str:
    """What a URL names, without its credentials and options, which nobody else is to see."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


_PATTERNS = {
    "": "redis://user:password@host:6379/0 or unix://user:password@/socket?db=0",
    "sentinel": "redis+sentinel://user:password@sentinel1:26379,sentinel2:26379/name/0",
    "cluster": "redis+cluster://user:password@node1:6379,node2:6379",
}
_SCHEMES = (
    "redis://",
    "rediss://",
    "unix://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "redis+cluster://",
    "rediss+cluster://",
)


def complaint(text: str) -> str:
    """What is wrong with a URL and what to write, in one sentence without a subject; empty if nothing is.

    No part of the URL is quoted: it may be part of a password.
    """
    if not text.startswith(_SCHEMES):
        return (
            "must start with redis://, rediss:// or unix://, with redis+sentinel:// or redis+cluster:// (rediss+ with "
            "TLS), or be empty for the embedded server"
        )
    if wrong := _wrong(text):
        return (
            f"cannot be read: {wrong}; write {_PATTERNS[kind(text)]}, "
            "and escape what is no letter or digit in the password (%2F for /)"
        )
    return ""


def _wrong(text: str) -> str:
    if re.search(r"[\s\x00-\x1f\x7f#\ud800-\udfff]", text):
        return "there is a space, a # or a character that cannot be printed in it"
    try:
        url = urlsplit(text)
        places = addresses(text)
    except ValueError:
        places = [("", 0)]
    if any(port == 0 for _, port in places):
        return "each port must be 1 to 65535, and an IPv6 address stand in brackets"
    options = _options(url.scheme)
    try:
        pairs = parse_qsl(url.query, keep_blank_values=True, strict_parsing=True) if url.query else []
    except ValueError:
        pairs = [("", "")]
    given = dict(pairs)
    if len(given) < len(pairs) or not given.keys() <= options.keys():
        listed = f"{', '.join(options)}, each once" if options else "nothing"
        secured = url.scheme.startswith("rediss")
        return f"after the ? there may be {listed}{'' if secured else '; options of TLS need rediss:// or rediss+'}"
    for option, value in given.items():
        right, meant = options[option]
        if not right(value):
            return f"{option} must be {meant}"
    if "ssl_keyfile" in given and "ssl_certfile" not in given:
        return "ssl_keyfile needs ssl_certfile"
    if wrong := tls_files.complaint(given):
        return wrong
    if url.scheme == "unix":
        return _wrong_in_path(url)
    if (len(places) > 1 and not kind(text)) or not all(_is_host(host) for host, _ in places):
        return f"there must be the name or address of a host{', or of several with commas' if kind(text) else ''}"
    return _wrong_behind_host(url, given)


def _wrong_in_path(url: SplitResult) -> str:
    if sys.platform == "win32":
        return "unix:// cannot be used on Windows"
    path = unquote(url.path)
    if url.netloc.rpartition("@")[2] or path.endswith("/") or not path.startswith("/") or "\0" in path:
        return "unix:// needs the absolute path of a socket, after three slashes"
    return ""


def _wrong_behind_host(url: SplitResult, given: Mapping[str, str]) -> str:
    database = url.path
    if url.scheme.endswith("+cluster"):
        return "" if url.path in ("", "/") else "a cluster has no databases: nothing may stand after its nodes"
    if url.scheme.endswith("+sentinel"):
        name, _, database = url.path[1:].partition("/")
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            return "after the sentinels there must be the name that they have for the primary, such as /mymaster"
        database = f"/{database}"
    if not re.fullmatch(r"/?|/[0-9]{1,5}", database):
        return "after that there may be the number of a database, such as /0"
    if database.strip("/") and "db" in given:
        return "the database is given twice"
    return ""


def _is_host(name: str) -> bool:
    try:
        if ":" in name:
            IPv6Address(name)
        else:
            name.encode("idna")  # the first step of resolving it
    except ValueError:
        return False
    return bool(re.fullmatch(r"[\w.:%-]+", name))


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:
        return False


_OPTIONS: dict[str, tuple[Callable[[str], object], str]] = {
    "db": (re.compile("[0-9]{1,5}").fullmatch, "a whole number"),
    "ssl_ca_certs": (_is_file, "a file that is there"),
    "ssl_certfile": (_is_file, "a file that is there"),
    "ssl_keyfile": (_is_file, "a file that is there"),
    "ssl_cert_reqs": (re.compile("none|optional|required").fullmatch, "none, optional or required"),
    "ssl_check_hostname": (re.compile("true|false").fullmatch, "true or false"),
}
"""What may follow the ? in the URL: nothing that would override a setting of ``connect``."""
_SENTINEL_OPTIONS: dict[str, tuple[Callable[[str], object], str]] = {
    "sentinel_username": (bool, "a name"),
    "sentinel_password": (bool, "a password"),
}
"""Credentials for the sentinels themselves, which have users of their own."""


def _options(scheme: str) -> dict[str, tuple[Callable[[str], object], str]]:
    secured, _, kind_ = scheme.partition("+")
    options = {
        name: rule
        for name, rule in _OPTIONS.items()
        if (secured == "rediss" or not name.startswith("ssl_")) and not (kind_ == "cluster" and name == "db")
    }
    return options | _SENTINEL_OPTIONS if kind_ == "sentinel" else options
