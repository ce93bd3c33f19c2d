"""What is wrong with config.ini as a file, as sections, and across sections."""

from pathlib import Path

import pytest

from cticache import config
from cticache.access.passwords import hashed
from cticache.config import Config
from cticache.errors import ConfigError
from cticache.numbering.pools import MOST_POOLS
from kit.effort import counted_calls

HASH = hashed("secret-word")
POOL = "[pool:x]\nnumbers = 1-9\n"


def _read(folder: Path, text: str | bytes) -> Config:
    path = folder / "config.ini"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return config.read(path, {})


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        pytest.param(
            f"[serve]\n{POOL}",
            ["[serve] is not a section known", "[server], [redis], [watch], [log], [pool:NAME]"],
            id="unknown section",
        ),
        pytest.param(f"[DEFAULT]\nport = 1\n{POOL}", ["[DEFAULT] is not a section known"], id="DEFAULT"),
        pytest.param(f"[Server]\n{POOL}", ["[Server] is not a section known"], id="section in capitals"),
        pytest.param("[pool]\nnumbers = 1\n", ["[pool] is not a section known"], id="pool without a name"),
        pytest.param(f"[server:a]\n{POOL}", ["[server:a] is not a section known"], id="server with a name"),
        pytest.param("[pool:]\nnumbers = 1\n", ["[pool:]: the name", "1 to 64 of A-Z"], id="empty name"),
        pytest.param("[pool:a{b}]\nnumbers = 1\n", ["[pool:a{b}]: the name", "1 to 64 of A-Z"], id="pool with a brace"),
        pytest.param(f"{POOL}[user:a{{b]\n", ["[user:a{b]: the name", "1 to 64 of A-Z"], id="user with a brace"),
        pytest.param(f"{POOL}[user:a b]\n", ["[user:a b]: the name"], id="user with a space"),
        pytest.param(f"{POOL}[user:a:b]\n", ["[user:a:b]: the name"], id="user with a colon"),
        pytest.param(f"{POOL}[user:\u00e4]\n", ["[user:\u00e4]: the name"], id="user with an umlaut"),
        pytest.param(f"[pool:{'x' * 65}]\nnumbers = 1\n", ["the name"], id="name too long"),
        pytest.param(f"[server]\nprot = 1\n{POOL}", ["[server] prot: is not", "did you mean port?"], id="near miss"),
        pytest.param(f"{POOL}fellback = 7\n", ["[pool:x] fellback: is not", "did you mean fallback?"], id="option"),
        pytest.param(f"{POOL}port = 7\n", ["[pool:x] port: is not an option known"], id="option of another section"),
        pytest.param("port = 1\n" + POOL, ["line 1", "before the first section", "[server]"], id="no section"),
        pytest.param(f"{POOL}[server]\n{POOL}", ["line 4", "[pool:x]", "second time"], id="section twice"),
        pytest.param(f"{POOL}ttl = 1\nTTL = 2\n", ["line 4", "[pool:x] ttl", "second time"], id="option twice"),
        pytest.param(f"{POOL}garbage\n", ["line 3", "neither a section", "option = value"], id="garbage"),
        pytest.param(f"{POOL}ttl: 7\n", ["line 3", "neither a section", "option = value"], id="colon for equals"),
        pytest.param(f"{POOL}= 7\n", ["line 3", "neither a section", "option = value"], id="no option before equals"),
        pytest.param(f"{POOL}[server\nport = 1\n", ["line 3", "neither a section"], id="bracket not closed"),
        pytest.param(b"[server]\nhost = \xe4\n", ["not UTF-8", "byte 16", "save it as UTF-8"], id="Latin-1"),
        pytest.param((POOL).encode("utf-16"), ["not UTF-8"], id="UTF-16"),
        pytest.param("", ["there is no pool", "[pool:NAME]"], id="empty file"),
        pytest.param("[server]\nport = 1\n", ["there is no pool", "[pool:NAME]"], id="no pool"),
        pytest.param("[pool:x]\nttl = 7\n", ["[pool:x] numbers", "at least one number"], id="pool without numbers"),
        pytest.param("[pool:x]\nnumbers =\n", ["[pool:x] numbers", "at least one number"], id="empty numbers"),
        pytest.param(
            f"{POOL}ttl = 600\nmax_ttl = 60\n", ["[pool:x] ttl = 600", "above max_ttl"], id="ttl above max_ttl"
        ),
        pytest.param(f"{POOL}max_ttl = 60\n", ["[pool:x] ttl = 300", "above max_ttl"], id="max_ttl below the default"),
        pytest.param(
            f"{POOL}share_scan = 1000\nmax_callers = 21\n",
            ["[pool:x] share_scan = 1000", "max_callers = 21", "above 20000"],
            id="too many callers to look at",
        ),
        pytest.param(
            f"{POOL}share_scan = 1000\nmax_callers = 21\nexhausted = reject\n",
            ["share_scan"],
            id="so also under reject",
        ),
        pytest.param(
            f"{POOL}[pool:y]\nnumbers = 8-9, 10\n",
            ["[pool:x] and [pool:y]", "8-9", "one pool"],
            id="number in two pools",
        ),
        pytest.param(
            f"{POOL}[pool:y]\nnumbers = 10\ndraining = 3\n",
            ["[pool:x] and [pool:y]", "3"],
            id="draining in another pool",
        ),
        pytest.param(
            f"{POOL}draining = 7\n[pool:y]\nnumbers = 7\n", ["[pool:x] and [pool:y]", "7"], id="drained and leased"
        ),
        pytest.param(
            f"{POOL}[user:bob]\npassword = {HASH}\npools = x, z\n",
            ["[user:bob] pools = z", "is no pool", "there are x"],
            id="unknown pool",
        ),
        pytest.param(
            "[pool:x]\nnumbers = 1-3,\n  9-1,\n  5\n",
            ["[pool:x] numbers", "'9-1'", "backwards"],
            id="in a continued line",
        ),
        pytest.param(
            "[pool:x]\nnumbers = 100,\n  020 7946 0001\n",
            ["[pool:x] numbers", "'020 7946 0001' has a space inside", "as in 02079460001"],
            id="a space in a number",
        ),
        pytest.param(f"{POOL}[user:bob]\n", ["[user:bob] password", "missing", "cticache user NAME"], id="no password"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_place(tmp_path: Path, text: str | bytes, pieces: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        _read(tmp_path, text)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{tmp_path / 'config.ini'}: ")
    for piece in pieces:
        assert piece in line
    assert "$argon2" not in line


def _fault(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _read(folder, text)
    return str(caught.value).splitlines()


def test_of_many_numbers_in_two_pools_the_first_are_named(tmp_path: Path) -> None:
    numbers = ", ".join(str(number) for number in range(1000, 3000, 2))
    lines = _fault(tmp_path, f"[pool:x]\nnumbers = {numbers}\n[pool:y]\nnumbers = 5\ndraining = {numbers}\n")
    assert lines == [
        f"{tmp_path / 'config.ini'}: [pool:x] and [pool:y] both have 1000, 1002, 1004 and more; "
        "a number belongs to one pool"
    ]


def test_every_two_pools_with_a_common_number_are_told(tmp_path: Path) -> None:
    lines = _fault(tmp_path, "[pool:x]\nnumbers = 3-5\n[pool:y]\nnumbers = 1-9\n[pool:z]\nnumbers = 5-6, 70\n")
    assert [line.partition(": ")[2].partition(";")[0] for line in lines] == [
        "[pool:x] and [pool:y] both have 3-5",
        "[pool:x] and [pool:z] both have 5",
        "[pool:y] and [pool:z] both have 5-6",
    ]


def test_fifty_pools_of_thousands_of_separate_numbers_are_read(tmp_path: Path, long: bool) -> None:
    """Compared each with each, number by number, they would take longer than anybody waits."""
    size = 2_000 if long else 600
    pools = (
        f"[pool:p{at}]\nnumbers = " + ", ".join(str(10**6 + 100 * n + at) for n in range(size)) + "\n"
        for at in range(0, 100, 2)
    )
    read = _read(tmp_path, "".join(pools))
    assert [len(pool.numbers) for pool in read.pools] == [size] * 50


def test_ten_thousand_pools_are_read_and_one_more_stops_the_start(tmp_path: Path, long: bool) -> None:
    rules = "country_code = 1\ndnis_digits = 4\nexhausted = fallback\n"
    pools = [
        f"[pool:p{at}]\nnumbers = {5550000000 + 100 * at}-{5550000098 + 100 * at}\n"
        f"fallback = {5550000099 + 100 * at}\n{rules}"
        for at in range(MOST_POOLS + 1)
    ]
    with counted_calls() as calls:
        _read(tmp_path, "".join(pools[:1_000]))
        assert calls() < 1_500_000
    most = MOST_POOLS if long else 2_500
    read = _read(tmp_path, "".join(pools[:most]))
    assert (len(read.pools), len(read.pools[-1].numbers)) == (most, 99)
    (line,) = _fault(tmp_path, "".join(pools))
    assert line == (
        f"{tmp_path / 'config.ini'}: there are 10001 pools, more than the 10000 of one service; "
        "give the others to another one, with a [redis] prefix of its own"
    )


def test_three_spellings_of_one_number_stop_the_start(tmp_path: Path) -> None:
    """Three withheld callers were given one line."""
    text = "[pool:x]\nnumbers = 5554000000, 15554000000, +15554000000\ncountry_code = 1\n"
    lines = _fault(tmp_path, text)
    assert len(lines) == 3
    assert lines[0] == (
        f"{tmp_path / 'config.ini'}: [pool:x] numbers = 5554000000: is the same number as 15554000000, "
        "under country_code = 1; keep one of them"
    )


def test_a_number_in_another_spelling_is_told_with_the_variable_that_has_it(tmp_path: Path) -> None:
    path = tmp_path / "config.ini"
    path.write_text("[pool:x]\nnumbers = 5554000000\n[pool:y]\nnumbers = 1\n")
    with pytest.raises(ConfigError) as caught:
        config.read(path, {"CTICACHE_POOL_Y_DRAINING": "+5554000000"})
    assert str(caught.value) == (
        "environment variable CTICACHE_POOL_Y_DRAINING = +5554000000: "
        "is the same number as 5554000000 of [pool:x], but for the plus; keep one of them"
    )


def test_a_missing_file_is_told_with_the_sample_to_copy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config.find(tmp_path / "none.ini", {})
    (line,) = str(caught.value).splitlines()
    assert str(tmp_path / "none.ini") in line
    assert f"copy {config.SAMPLE}" in line


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config.find(tmp_path, {})
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        config.read(tmp_path, {})
    assert f"{tmp_path}: cannot be read" in str(caught.value)


def test_without_a_name_the_file_is_the_one_here_then_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, own = tmp_path / "here", tmp_path / "own"
    here.mkdir()
    own.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_args: own)
    with pytest.raises(ConfigError) as caught:
        config.find(None, {})
    assert f"{here / 'config.ini'} or {own / 'config.ini'}" in str(caught.value)
    assert str(caught.value).endswith(
        ", or name yours by --config or CTICACHE_CONFIG, or set CTICACHE_POOL_<NAME>_NUMBERS"
    )
    (own / "config.ini").write_text(POOL)
    assert config.find(None, {}) == own / "config.ini"
    (here / "config.ini").write_text(POOL)
    assert config.find(None, {}).absolute() == here / "config.ini"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"\xef\xbb\xbf" + POOL.encode(), id="BOM"),
        pytest.param(POOL.replace("\n", "\r\n").encode(), id="Windows line ends"),
        pytest.param("; [server]\n[pool:x] ; the pool\nnumbers = 1-9 ; and no more\n;ttl = 7\n", id="comments"),
        pytest.param("# note\n[pool:x]\nnumbers = 1-9\n# ttl = 7\n", id="hash comments"),
        pytest.param("[pool:x]\nnumbers = 1-3,\n  4-6\n\t7-9\n", id="continued lines"),
        pytest.param("[pool:x]\nnumbers = 1-3 ; first\n  4-6 ; then\n  7-9\n", id="continued lines with comments"),
        pytest.param("[pool:x]\r\nnumbers =\r\n  1-5\r\n  6-9\r\n", id="continued lines of Windows"),
        pytest.param("[pool:x]\nNumbers=1-9", id="capitals, no spaces, no line end"),
    ],
)
def test_every_way_to_write_the_file_is_read(tmp_path: Path, text: str | bytes) -> None:
    (pool,) = _read(tmp_path, text).pools
    assert (pool.name, str(pool.numbers), pool.ttl_ms) == ("x", "1-9", 300_000)


@pytest.mark.parametrize("url", ["redis://:p%40%%s@h:1/0", "redis://:a;b=c@h"])
def test_a_url_is_read_as_it_stands(tmp_path: Path, url: str) -> None:
    assert _read(tmp_path, f"[redis]\nurl = {url} ; the url\n{POOL}").redis.url == url


@pytest.mark.parametrize(("share_scan", "max_callers"), [(1000, 20), (20, 1000)])
def test_a_call_may_look_at_twenty_thousand_callers(tmp_path: Path, share_scan: int, max_callers: int) -> None:
    (pool,) = _read(tmp_path, f"{POOL}share_scan = {share_scan}\nmax_callers = {max_callers}\n").pools
    assert (pool.share_scan, pool.max_callers) == (share_scan, max_callers)


def test_a_pool_may_have_nothing_but_draining_numbers(tmp_path: Path) -> None:
    (pool,) = _read(tmp_path, "[pool:x]\ndraining = 1-3\n").pools
    assert (str(pool.numbers), str(pool.draining)) == ("", "1-3")


def test_pools_and_users_keep_the_order_of_the_file(tmp_path: Path) -> None:
    names = ["zeta", "alpha", "Mid"]
    text = "".join(f"[pool:{name}]\nnumbers = {at}\n" for at, name in enumerate(names))
    assert [pool.name for pool in _read(tmp_path, text).pools] == names


def test_the_configuration_cannot_be_changed(tmp_path: Path) -> None:
    read = _read(tmp_path, POOL)
    with pytest.raises(AttributeError):
        read.server.port = 1  # type: ignore[misc]
