"""Every script's header says what its body does, and the store and keys follow it."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from redis import Redis

from cticache.data import keys as keys_module
from cticache.data import scripts as scripts_module
from cticache.data.keys import Keys
from cticache.data.replies import Beat
from cticache.data.scripts import Scripts, read_scripts
from cticache.data.store import Store
from cticache.data.sync import sync
from cticache.errors import BadArgument, ScriptError
from cticache.journal.events import Event
from cticache.link.connection import Runner
from cticache.numbering.pools import Pools

SOURCES = read_scripts()
FOLDER = next(place for place in scripts_module._PLACES if place.is_dir())
SCRIPTS = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.lua"))}
"""As written: what they include is not put in."""
INCLUDES = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("include/*.lua"))}
INCLUDE = re.compile(r"include\('(\w+)'\)")
RIGHT = {"exhausted": "share", "rule": "exact", "told": "", "step": "numbers"}
"""What the words among the arguments may be."""
KEY_TYPES = {"zset", "hash", "string", "list", "prefix"}


def header(source: str) -> list[str]:
    lines = source.splitlines()[1:]
    end = next(at for at, line in enumerate(lines) if not line.startswith("--"))
    return lines[:end]


def slots(source: str, kind: str) -> list[str]:
    return [
        match[1] for line in header(source) if (match := re.match(rf"-- {kind}\[(\d+(?:\.\.\.)?)\]  +\S+  +\S", line))
    ]


def slot_names(source: str, kind: str) -> list[str]:
    return re.findall(rf"^-- {kind}\[[\d.]+\]  +(\S+)", source, re.MULTILINE)


def in_header(source: str, kind: str) -> list[str]:
    """What the line Writes or Includes lists."""
    found = re.search(rf"^-- {kind:8}  (.+(?:\n--           .+)*)", source, re.MULTILINE)
    assert found, f"no line {kind}"
    return re.findall(r"\w+", found[1].removeprefix("nothing"))


def body(source: str) -> str:
    code = "\n".join(source.splitlines()[1 + len(header(source)) :])
    return re.sub(r"--.*", "", code)


def arguments(code: str) -> list[str]:
    """What stands between the commas, up to the bracket that closes them."""
    parts, depth = [""], 0
    for token in re.findall(r"'[^']*'|\"[^\"]*\"|.", code, re.DOTALL):
        depth += (token in set("({[")) - (token in set(")}]"))
        if depth < 0:
            break
        if token == "," and not depth:
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts]


def local_variables(code: str) -> list[tuple[str, str]]:
    """Each with the expression that it is given; one without is left out."""
    found = re.findall(r"\blocal ([\w, ]+) = (.+)", code)
    return [each for names, values in found for each in zip(names.split(", "), arguments(values), strict=False)]


def parameters(include: str) -> list[str]:
    found = re.search(r"^return function\(([^)]*)\)$", INCLUDES[include], re.MULTILINE)
    return re.split(r",\s+", found[1]) if found else []


class Command(NamedTuple):
    """What the server says of a command: whether it writes, and which of its arguments are keys."""

    writes: bool
    keys: slice


@pytest.fixture(scope="session")
def commands(connection: Redis) -> dict[str, Command]:
    known = {}
    for name, said in connection.command().items():
        first, last, step = said["first_key_pos"], said["last_key_pos"], said["step_count"]
        keys = slice(first - 1, last if last > 0 else last + 1 or None, step) if first else slice(0)
        known[name.upper()] = Command("write" in said["flags"], keys)
    return known


def made_from(expression: str, origins: dict[str, str]) -> str | None:
    """The slot whose key an expression is, or whose prefix it begins with; None when it is no key."""
    found = re.fullmatch(r"(?:.* and )?(?:string\.format\('%s[^']*', )?(\w+)(?: \.\. .*|, .*)?", expression)
    return origins.get(found[1]) if found else None


def written(code: str, slots: list[str], commands: dict[str, Command]) -> list[str]:
    """Those of the slots whose keys the code writes, itself or by an include; a prefix stands for all made from it."""
    origins = {slot: slot for slot in slots}
    for variable, value in local_variables(code):
        if origin := made_from(value, origins):
            assert origins.setdefault(variable, origin) == origin, f"{variable} names two keys"
        if INCLUDE.fullmatch(value):
            code = re.sub(rf"(?<![\w.:]){variable}\(", f"{value}(", code)
    keys = []
    for call in re.finditer(r"redis\.p?call\('([A-Z]+)'(?:, )?", code):
        command = commands[call[1]]
        keys += arguments(code[call.end() :])[command.keys] if command.writes else []
    for call in re.finditer(rf"{INCLUDE.pattern}\(", code):
        given = dict(zip(parameters(call[1]), arguments(code[call.end() :]), strict=False))
        keys += [given[parameter] for parameter in in_header(INCLUDES[call[1]], "Writes")]
    found = {key: made_from(key, origins) for key in keys}
    assert None not in found.values(), f"from no slot: {found}"
    return [slot for slot in slots if slot in found.values()]


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
    open_ended = rf"(?:unpack|include\('from'\))\({kind}, (\d+)\)"
    used += [f"{start}..." for start in re.findall(open_ended, body(SCRIPTS[name]))]
    assert listed == used == [str(at) for at in range(1, len(used))] + used[-1:]


@pytest.mark.parametrize("name", SOURCES)
def test_slots_are_named_once_and_not_seen_again(name: str) -> None:
    seen = re.findall(r"\b(?:KEYS|ARGV)\b", body(SOURCES[name]))
    assert len(seen) == len(slots(SOURCES[name], "KEYS")) + len(slots(SOURCES[name], "ARGV"))


@pytest.mark.parametrize("kind", ["KEYS", "ARGV"])
@pytest.mark.parametrize("name", SOURCES)
def test_slots_are_named_as_the_header_names_them(name: str, kind: str) -> None:
    named = [variable for variable, value in local_variables(body(SCRIPTS[name])) if kind in value]
    assert named == slot_names(SCRIPTS[name], kind)


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


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_header_says_below_the_slots_what_is_written_and_included(name: str) -> None:
    _, slots_and_more = "\n".join(header(SCRIPTS[name])).split("\n--\n-- KEYS[1]")
    below = slots_and_more.split("\n--\n")[1]
    assert re.fullmatch(r"-- Writes    .+(?:\n--           .+)*\n-- Includes  .+(?:\n--           .+)*", below)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_header_lists_the_slots_whose_keys_are_written(name: str, commands: dict[str, Command]) -> None:
    assert in_header(SCRIPTS[name], "Writes") == written(
        body(SCRIPTS[name]), slot_names(SCRIPTS[name], "KEYS"), commands
    )


@pytest.mark.parametrize("name", INCLUDES)
def test_an_include_lists_its_parameters_that_are_written(name: str, commands: dict[str, Command]) -> None:
    assert in_header(INCLUDES[name], "Writes") == written(body(INCLUDES[name]), parameters(name), commands)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_that_says_no_writes_has_none_and_one_that_writes_does_not_say_so(name: str) -> None:
    assert bool(in_header(SCRIPTS[name], "Writes")) != ("no-writes" in SCRIPTS[name].splitlines()[0])


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_header_lists_the_includes_in_the_order_of_their_first_use(name: str) -> None:
    assert in_header(SCRIPTS[name], "Includes") == list(dict.fromkeys(INCLUDE.findall(body(SCRIPTS[name]))))


def test_every_include_is_used() -> None:
    assert {name for source in SCRIPTS.values() for name in in_header(source, "Includes")} == set(INCLUDES)


@pytest.mark.parametrize("name", INCLUDES)
def test_an_include_is_a_header_and_one_function_that_includes_nothing(name: str) -> None:
    form = rf"-- {name} -- \S.*\.\n(?:--.*\n)*--\n-- Writes    .+\n\nreturn function\([^)]*\)\n(?:  .*\n|\n)+end\n"
    assert re.fullmatch(form, INCLUDES[name])
    assert "include(" not in INCLUDES[name]


@pytest.mark.parametrize("name", [*SCRIPTS, *INCLUDES])
def test_what_is_called_stands_in_the_call_or_is_included_under_a_name(name: str) -> None:
    """The tests above find out by that what is written."""
    code = body((SCRIPTS | INCLUDES)[name])
    assert len(re.findall(r"redis\.p?call\b", code)) == len(re.findall(r"redis\.p?call\('[A-Z]+'[,)]", code))
    named = [value for _, value in local_variables(code) if INCLUDE.fullmatch(value)]
    assert len(INCLUDE.findall(code)) == len(re.findall(rf"{INCLUDE.pattern}\(", code)) + len(named)
    assert code.count("include") == len(INCLUDE.findall(code))


@pytest.mark.parametrize("name", SOURCES)
def test_values_never_go_through_cjson_and_no_script_walks_all_keys(name: str) -> None:
    assert not re.search(r"cjson|'KEYS'|'SCAN'|error\(|assert\(", body(SOURCES[name]).replace("error_reply(", ""))


def test_the_store_and_the_keys_have_one_method_for_each_script() -> None:
    for owner in (Store, Keys):
        methods = {name for name, _ in inspect.getmembers(owner, inspect.isfunction) if not name.startswith("_")}
        # The first runs two kinds of script in one round trip; the others tell why, in the place of a pool.
        assert methods - {"figures", "each_pool_stats", "each_pool_minutes"} == set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_the_keys_come_in_the_order_of_the_header(name: str) -> None:
    keys = Keys("cti")
    method = getattr(keys, name)
    given = keys_of(method)
    short = [key.split(":")[2] for key in given]
    assert short == [slot.removesuffix("_prefix") for slot in slot_names(SOURCES[name], "KEYS")]
    tag = "{p}" if inspect.signature(method).parameters else "{@logins}" if name.startswith("login_") else "{@all}"
    assert all(key.startswith(f"cti:{tag}:") for key in given)


def keys_of(method: Callable[..., list[str]]) -> list[str]:
    """What a method of Keys returns for a call like any other."""
    positional = [each for each in inspect.signature(method).parameters.values() if each.kind != each.KEYWORD_ONLY]
    return method(*["p", "100", "x", "key"][: len(positional)])


def every_key() -> re.Pattern[str]:
    """What the keys that may exist in a pool look like, after the documentation of keys.py."""
    listed = re.findall(r"^- ``cti:\{pool\}:(\S+)``", keys_module.__doc__ or "", re.MULTILINE)
    assert len(listed) == 26
    parts = {"FINGERPRINT": "[0-9a-f]*", "HOUR": r"\d+", "DNIS": r"\d+", "ANI": r"\+?\d*", "USER": "[^:]+", "KEY": ".*"}
    return re.compile("|".join(re.sub("[A-Z]+", lambda word: parts[word[0]], each) for each in listed))


@pytest.mark.parametrize("name", SOURCES)
def test_a_script_declares_a_key_that_never_exists_beside_others(name: str) -> None:
    """While its slot moves in a Cluster no node then runs it: it would see only the keys that are there by now."""
    method = getattr(Keys("cti"), name)
    given = keys_of(method)
    assert len(set(given)) > 1
    never = [key for key in given if not every_key().fullmatch(re.sub(r"^cti:\{.*?\}:", "", key))]
    assert never, f"each key that {name} declares may exist: see cticache/data/keys.py"


@pytest.mark.parametrize(
    "name",
    sorted(
        set(SOURCES)
        - {"data_format", "login_failures", "pool_claim", "pool_ranges", "pool_sync", "service_answer", "service_leave"}
    ),
)
@pytest.mark.parametrize("wrong", ["", "x", "-1", "1.5", "nan", "inf"])
def test_a_number_out_of_its_contract_is_refused_before_anything_is_written(
    client: Redis, store: Store, name: str, wrong: str
) -> None:
    script = SOURCES[name]
    words = slot_names(script, "ARGV")
    numbers = [
        found[1] for line in header(script) if (found := re.match(r"-- ARGV\[\d+\]  +(\w+) .*integer >=? 0", line))
    ]
    right = dict.fromkeys(words, "1") | {word: right for word, right in RIGHT.items() if word in words}
    keys = [f"cti:{{p}}:{at}" for at in range(len(slots(script, "KEYS")))]
    assert numbers
    for number in numbers:
        with pytest.raises(BadArgument):
            store._run(name, keys, **right | {number: wrong})
    assert not client.keys()


def test_a_script_that_does_not_compile_stops_the_start(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "broken.lua").write_text("#!lua\nreturn (1\n")
    with pytest.raises(ScriptError, match=r"lua/broken\.lua does not compile"):
        Scripts(runner, read_scripts(tmp_path)).load()


def test_a_script_that_includes_what_is_not_there_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "one.lua").write_text("#!lua\nreturn include('none')()\n")
    with pytest.raises(ScriptError, match=r"lua/one\.lua includes none, and there is no .*none\.lua"):
        read_scripts(tmp_path)


def test_a_server_that_takes_scripts_in_another_form_than_the_one_before_gets_them_so(
    client: Redis, store: Store
) -> None:
    for _ in range(2):
        # With a space before it no server reads the ``#!`` line, as 6.2 never does.
        store._scripts._known = {name: ("0" * 40, f" {source}") for name, source in SOURCES.items()}
        client.script_flush()
        assert store.pool_claim("claim", "y", {"system-y": "x"}).numbers == "y"


def every_script(store: Store) -> list[Callable[[], object]]:
    """Calls that together run every script but pool_sync, which made the pool; each answers something."""
    from kit.samples import at, make_pool

    pool = make_pool("100")
    sync(store, Pools([pool]), take_over=True)
    return [
        lambda: store.lease(pool, "777", "1", "x", 60_000, key="first", max_live=2),
        lambda: store.lease(pool, "888", "1", "x", 60_000, max_live=2),
        lambda: store.read(at(pool, "100"), "777", "y"),
        lambda: store.renew(at(pool, "100"), "777", 60_000, "2"),
        lambda: store.pool_leases(pool),
        lambda: store.take(at(pool, "100"), "777", "y", key="first"),
        lambda: store.lease(pool, "999", "1", "x", 60_000),
        lambda: store.release(pool, [("100", "999", "")]),
        lambda: store.pool_claim("ask"),
        lambda: store.login_failed("x", "203.0.113.9"),
        store.login_failures,
        store.server_info,
        lambda: store.service_look("a", 0, 1000, numbers="x", rules="y", who="z"),
        lambda: [store.service_look("a", 0, 1000, numbers="x", rules="y", who="z"), store.services()][1],
        lambda: store.service_ask("b"),
        lambda: store.service_answer("a", "b", "c"),
        lambda: store.service_answers("b"),
        lambda: store.service_leave("a"),
        store.data_format,
        lambda: store.event_tell([Event(1, "ERROR", "cticache.test", "x", "n")]),
        store.events,
        lambda: store.pool_ranges([pool]),
        lambda: store.pool_beat([(pool, Beat("lost", 1, 0), None)]),
        lambda: store.pool_rescore(pool, "rescore", dnises=[("100", 0)]),
        lambda: store.pool_stats([pool]),
        lambda: store.pool_hours(pool, 24),
        lambda: store.pool_minute([pool]),
        lambda: store.pool_minutes([pool], 1),
        lambda: store.explain(at(pool, "100"), "777"),
        lambda: store.try_out("system-y"),
    ]


def test_scripts_that_redis_has_forgotten_are_brought_along_unnoticed(client: Redis, store: Store) -> None:
    for call in every_script(store):
        client.script_flush()
        assert call()


@pytest.mark.one_server
def test_a_script_at_work_writes_only_what_its_header_lists(
    client: Redis, store: Store, commands: dict[str, Command]
) -> None:
    """As Redis itself sees it, beside what the tests above read in the scripts."""
    names = {sha: name for name, (sha, _) in store._scripts._known.items()}
    script, keys, ran, wrote = "", {}, set(), set()
    with client.monitor() as monitor:
        for call in every_script(store):
            call()
        client.echo("the end")
        while (seen := monitor.next_command())["command"] != "ECHO the end":
            command, *words = seen["command"].split(" ")
            if command == "EVALSHA":
                script = names[words[0]]
                ran.add(script)
                keys = dict(zip(slot_names(SCRIPTS[script], "KEYS"), words[2:], strict=False))
            elif seen["client_type"] == "lua" and commands[command].writes:
                for key in words[commands[command].keys]:
                    of = (slot for slot in keys if slot.endswith("_prefix") and key.startswith(keys[slot]))
                    slot = next((slot for slot in keys if key == keys[slot]), None) or next(of, None)
                    assert slot in in_header(SCRIPTS[script], "Writes"), f"{script}: {command} {key}"
                wrote.add(script)
    assert ran == set(SCRIPTS), "every_script leaves one out"
    idle = {
        "data_format",
        "events",
        "explain",
        "login_failures",
        "pool_hours",
        "pool_leases",
        "pool_minutes",
        "pool_ranges",
        "server_info",
        "service_answers",
        "services",
        "pool_stats",  # it had nothing to count
    }
    assert wrote == set(SCRIPTS) - idle | {"pool_sync"}
