"""Every script's header says what its body does, and the store and keys follow it."""

import inspect
import re
from pathlib import Path

import pytest
from redis import Redis

from cticache.data import keys as keys_module
from cticache.data.keys import Keys
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.errors import BadArgument, ScriptError
from cticache.link.connection import Direct
from cticache.numbering.pools import Pools

SOURCES = read_scripts()
WORDS = {name: re.findall(r"^-- ARGV\[\d+\]  +(\S+)", source, re.MULTILINE) for name, source in read_scripts().items()}
KEY_TYPES = {"zset", "hash", "string", "prefix"}


def header(source: str) -> list[str]:
    lines = source.splitlines()[1:]
    end = next(at for at, line in enumerate(lines) if not line.startswith("--"))
    return lines[:end]


def slots(source: str, kind: str) -> list[str]:
    return [
        match[1] for line in header(source) if (match := re.match(rf"-- {kind}\[(\d+(?:\.\.\.)?)\]  +\S+  +\S", line))
    ]


def body(source: str) -> str:
    code = "\n".join(source.splitlines()[1 + len(header(source)) :])
    return re.sub(r"--.*", "", code)


@pytest.mark.parametrize("name", SOURCES)
def test_the_header_begins_with_the_script_and_what_it_is_for(name: str) -> None:
    assert SOURCES[name].splitlines()[0].startswith("#!lua")
    assert re.match(rf"-- {name} -- \S.*\.", " ".join(header(SOURCES[name])[:2]))
    assert any(line.startswith("-- Returns  ") for line in header(SOURCES[name]))


@pytest.mark.parametrize("kind", ["KEYS", "ARGV"])
@pytest.mark.parametrize("name", SOURCES)
def test_the_header_lists_the_slots_that_the_body_uses(name: str, kind: str) -> None:
    listed = slots(SOURCES[name], kind)
    used = re.findall(rf"{kind}\[(\d+)\]", body(SOURCES[name]))
    used += [f"{start}..." for start in re.findall(rf"unpack\({kind}, (\d+)\)", body(SOURCES[name]))]
    assert listed == used == [str(at) for at in range(1, len(used))] + used[-1:]


@pytest.mark.parametrize("name", SOURCES)
def test_slots_are_named_once_and_not_seen_again(name: str) -> None:
    seen = re.findall(r"(?:KEYS|ARGV)\b", body(SOURCES[name]))
    assert len(seen) == len(slots(SOURCES[name], "KEYS")) + len(slots(SOURCES[name], "ARGV"))


@pytest.mark.parametrize("name", SOURCES)
def test_every_key_has_its_type(name: str) -> None:
    for line in header(SOURCES[name]):
        if found := re.match(r"-- KEYS\[\d+\]  +\S+ +(\S+)", line):
            assert found[1] in KEY_TYPES


@pytest.mark.parametrize("name", SOURCES)
def test_the_header_lists_the_codes_that_the_body_returns(name: str) -> None:
    listed = set(re.findall(r"-- (?:Errors  |        ) ([A-Z]{4,})  ", "\n".join(header(SOURCES[name]))))
    used = set(re.findall(r"error_reply\(['\"]([A-Z]+) ", body(SOURCES[name])))
    assert listed == used


@pytest.mark.parametrize("name", SOURCES)
def test_a_script_that_says_no_writes_has_none_and_one_that_writes_does_not_say_so(name: str) -> None:
    writes = re.search(r"'(?:HSET|DEL|ZADD|ZREM|HINCRBY|PEXPIREAT|SET|ZREMRANGEBYSCORE)'", body(SOURCES[name]))
    assert bool(writes) != ("no-writes" in SOURCES[name].splitlines()[0])


@pytest.mark.parametrize("name", SOURCES)
def test_values_never_go_through_cjson_and_no_script_walks_all_keys(name: str) -> None:
    assert not re.search(r"cjson|'KEYS'|'SCAN'|error\(|assert\(", body(SOURCES[name]).replace("error_reply(", ""))


def test_the_store_and_the_keys_have_one_method_for_each_script() -> None:
    for owner in (Store, Keys):
        methods = {name for name, _ in inspect.getmembers(owner, inspect.isfunction) if not name.startswith("_")}
        assert methods == set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_the_keys_come_in_the_order_of_the_header(name: str) -> None:
    keys = Keys("cti")
    method = getattr(keys, name)
    given = method(*["p", "100", "x", "key"][: len(inspect.signature(method).parameters)])
    listed = re.findall(r"-- KEYS\[\d+\]  +(\S+)", "\n".join(header(SOURCES[name])))
    short = [key.split(":")[2] for key in given]
    assert short == [slot.removesuffix("_prefix") for slot in listed]
    tag = "{p}" if inspect.signature(method).parameters else "{@all}"
    assert all(key.startswith(f"cti:{tag}:") for key in given)


def every_key() -> re.Pattern[str]:
    """What the keys that may exist in a pool look like, after the documentation of keys.py."""
    listed = re.findall(r"^- ``cti:\{pool\}:(\S+)``", keys_module.__doc__ or "", re.MULTILINE)
    assert len(listed) == 14
    parts = {"HOUR": r"\d+", "DNIS": r"\d+", "ANI": r"\d*", "USER": "[^:]+", "KEY": ".*"}
    return re.compile("|".join(re.sub("[A-Z]+", lambda word: parts[word[0]], each) for each in listed))


@pytest.mark.parametrize("name", sorted(set(SOURCES) - {"pool_claim"}))
def test_a_script_declares_a_key_that_never_exists_beside_others(name: str) -> None:
    """While its slot moves in a Cluster no node then runs it: it would see only the keys that are there by now."""
    method = getattr(Keys("cti"), name)
    given = method(*["p", "100", "x", "key"][: len(inspect.signature(method).parameters)])
    assert len(set(given)) > 1
    assert [key for key in given if not every_key().fullmatch(key.removeprefix("cti:{p}:"))]


def test_a_script_that_declares_a_single_key_touches_no_other() -> None:
    """It runs where its key is: at the end that a moving slot's keys leave, or at the other."""
    touched = re.findall(r"redis\.call\('[A-Z]+', ([^,)]+)", body(SOURCES["pool_claim"]))
    assert touched
    assert set(touched) == {"ruling"}


@pytest.mark.parametrize("name", sorted(set(SOURCES) - {"pool_claim", "pool_sync"}))
@pytest.mark.parametrize("wrong", ["", "x", "-1", "1.5", "nan", "inf"])
def test_a_number_out_of_its_contract_is_refused_before_anything_is_written(
    client: Redis, store: Store, name: str, wrong: str
) -> None:
    script = SOURCES[name]
    numbers = [
        int(found[1]) - 1 for line in header(script) if (found := re.match(r"-- ARGV\[(\d+)\] .*integer >=? 0", line))
    ]
    right = ["1"] * len(slots(script, "ARGV"))
    if name == "lease":
        right[6] = "share"
    if "rule" in WORDS[name]:
        right[WORDS[name].index("rule")] = "exact"
    keys = [f"cti:{{p}}:{at}" for at in range(len(slots(script, "KEYS")))]
    assert numbers
    for at in numbers:
        arguments = [*right[:at], wrong, *right[at + 1 :]]
        with pytest.raises(BadArgument):
            store._call(name, keys, *arguments)
    assert not client.keys()


def test_a_script_that_does_not_compile_stops_the_start(client: Redis, tmp_path: Path) -> None:
    (tmp_path / "broken.lua").write_text("#!lua\nreturn (1\n")
    with pytest.raises(ScriptError, match=r"lua/broken\.lua does not compile"):
        Scripts(Direct(client), read_scripts(tmp_path)).load()


def test_a_server_that_takes_scripts_in_another_form_than_the_one_before_gets_them_so(
    client: Redis, store: Store
) -> None:
    for _ in range(2):
        # With a space before it no server reads the ``#!`` line, as 6.2 never does.
        store._scripts._known = {name: ("0" * 40, f" {source}") for name, source in SOURCES.items()}
        client.script_flush()
        assert store.pool_claim("claim", {"system-y": "x"}) == {"system-y": "x"}


def test_scripts_that_redis_has_forgotten_are_brought_along_unnoticed(client: Redis, store: Store) -> None:
    from kit.samples import at, make_pool

    pool = make_pool("100")
    sync(store, Pools([pool]), take_over=True)
    for step in (
        lambda: store.lease(pool, "777", "1", "x", 60_000),
        lambda: store.read(at(pool, "100"), "777", "y"),
        lambda: store.renew(at(pool, "100"), "777", 60_000),
        lambda: store.take(at(pool, "100"), "777", "y"),
        lambda: store.pool_claim("claim", {"system-y": "x"}),
        lambda: store.pool_stats([pool]),
        lambda: store.pool_hours(pool, 24),
        lambda: store.explain(at(pool, "100"), "777"),
    ):
        client.script_flush()
        assert step()
