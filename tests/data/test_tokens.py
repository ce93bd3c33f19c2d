"""The tokens that name leases."""

import re
from concurrent.futures import ThreadPoolExecutor

from cticache.data.tokens import token


def test_no_token_is_given_out_twice_whatever_thread_asks() -> None:
    with ThreadPoolExecutor(8) as threads:
        several = list(threads.map(lambda _: [token() for _ in range(500)], range(40)))
    tokens = [one for some in several for one in some]
    assert len(set(tokens)) == len(tokens) == 20_000


def test_a_token_has_96_bits_in_characters_that_need_no_quoting() -> None:
    tokens = [token() for _ in range(3000)]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{16}", one) for one in tokens)
    for place in range(16):
        assert len({one[place] for one in tokens}) == 64
