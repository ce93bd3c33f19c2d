"""The parser's own reading of a request's header, beside waitress's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser

from cticache.loop.wire import Channel, adjustments

_SETTINGS = Adjustments(**adjustments(65536))
_TARGETS = st.builds(
    "".join, st.lists(st.sampled_from([*"/?#%:@=&;.,[]!$'\"()*+~-_ab12", "%41", "%zz", "//", "http:"]), max_size=12)
)


def read(parser: type[HTTPRequestParser], data: bytes) -> dict[str, object]:
    """What a parser makes of a request, or that it refuses it."""
    made = parser(_SETTINGS)
    assert made.received(data) == len(data)
    assert made.completed
    if made.error:
        return {"error": made.error.code}
    names = "command", "version", "request_uri", "path", "query", "headers", "content_length", "chunked"
    more = "connection_close", "expect_continue", "url_scheme"
    return {name: getattr(made, name) for name in names + more}


@given(_TARGETS)
def test_a_path_and_its_query_are_read_as_waitress_reads_them(target: str) -> None:
    data = f"GET /{target} HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n\r\n".encode("ascii")
    expected = {"error": 400} if "#" in target else read(HTTPRequestParser, data)
    assert read(Channel.parser_class, data) == expected


_NAMES = st.sampled_from(
    ["X-A", "x-a", "Accept", "ACCEPT", "X_A", "!#$%&'*+.^`|~", "Cookie", "Content-Type", "A-", "Connection"]
)
_VALUES = st.sampled_from(["", "b", " b", "b \t", "\tb c ", "a, b", "\x80\xff", ":", "close", "Keep-Alive", '"'])


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=6), st.sampled_from(["1.0", "1.1"]))
def test_headers_are_read_as_waitress_reads_them(headers: list[tuple[str, str]], version: str) -> None:
    lines = [f"GET /a HTTP/{version}", "Host: x", *[f"{name}:{value}" for name, value in headers]]
    data = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    ours, theirs = read(Channel.parser_class, data), read(HTTPRequestParser, data)
    options = [value.strip().lower() for name, value in headers if name == "Connection"]
    if len(options) > 1 or options == ["a, b"]:  # of which waitress makes nothing
        ours["connection_close"] = theirs["connection_close"]
    assert isinstance(ours["headers"], dict)
    assert isinstance(theirs["headers"], dict)
    ours["headers"].pop("CONNECTION", "")
    theirs["headers"].pop("CONNECTION", "")
    assert ours == theirs


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a%2Fb:c", "/a/b:c", ""),
        ("/a?", "/a", ""),
        ("/a?b=c?d", "/a", "b=c?d"),
        ("//a/b?c", "//a/b", "c"),
        ("http://h/a?b", "/a", "b"),
        ("HTTPS://[::1]:8080?b", "/", "b"),
        ("/%e2%82%ac", "/\u00e2\u0082\u00ac", ""),
    ],
)
def test_what_a_target_says(target: str, path: str, query: str) -> None:
    for version in ("1.1", "1.0"):
        said = read(Channel.parser_class, f"GET {target} HTTP/{version}\r\nHost: x\r\n\r\n".encode("ascii"))
        assert (said["path"], said["query"], said["request_uri"], said["version"]) == (path, query, target, version)
