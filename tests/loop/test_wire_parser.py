"""The parser's own reading of a request's target, beside waitress's."""

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
        return {"error": type(made.error)}
    return {name: getattr(made, name) for name in ("command", "version", "request_uri", "path", "query", "headers")}


@given(_TARGETS)
def test_a_path_and_its_query_are_read_as_waitress_reads_them(target: str) -> None:
    data = f"GET /{target} HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n\r\n".encode("ascii")
    assert read(Channel.parser_class, data) == read(HTTPRequestParser, data)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a%2Fb:c", "/a/b:c", ""),
        ("/a?", "/a", ""),
        ("/a?b=c?d", "/a", "b=c?d"),
        ("//a/b?c", "//a/b", "c"),
        ("/a#b?c", "/a", ""),
        ("http://h/a?b", "/a", "b"),
        ("/%e2%82%ac", "/\u00e2\u0082\u00ac", ""),
    ],
)
def test_what_a_target_says(target: str, path: str, query: str) -> None:
    for version in ("1.1", "1.0"):
        said = read(Channel.parser_class, f"GET {target} HTTP/{version}\r\nHost: x\r\n\r\n".encode("ascii"))
        assert (said["path"], said["query"], said["request_uri"], said["version"]) == (path, query, target, version)
