"""Break the code on purpose and see a test fail, each time: ``python3 scripts/mutations.py``. Arguments are words.

With words, only mutations whose name or file has one of them are tried. Each is made in a copy of the tree, where the
tests that are named for it must fail, and not because the code no longer compiles. Exit status 1 tells that a mutation
survived, or that the text it would replace is no longer there.

TEST_REDIS names the server under test, see tests/kit/servers.py; a server that is already there is used by one test
run at a time. Without it the server comes from a package, each test run having its own.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from environment import ROOT, ready

_LEAVE_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "dist")
_TESTS_FAILED = 1
"""pytest's exit status; others are for tests that could not be run."""
_PACKAGED = "import sys; sys.path.insert(0, 'tests'); from kit import servers; print(servers.packaged())"


class Mutation(NamedTuple):
    """One thing that might have been written otherwise, and wrongly."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


PROMISES = "tests/lua/test_never_the_wrong_data.py"
LEASE, READ, TAKE, RENEW = (f"tests/lua/test_{name}.py" for name in ("lease", "read", "take", "renew"))
SYNC, STATS, MODEL, SOAK = (f"tests/lua/test_{name}.py" for name in ("pool_sync", "pool_stats", "model", "soak"))
CLUSTER = "tests/link/test_cluster.py"
AWAY, REFUSALS, SECRETS = (f"tests/web/test_{name}.py" for name in ("redis_away", "refusals", "secrets"))

_REPLAY_OF_TAKE = """\
if keyed == '1' then
  local said = redis.call('HMGET', taken, 'value', 'token', 'grade', 'leased_ms', 'fingerprint')
  if said[1] and said[5] ~= dnis .. ':' .. ani then
    return redis.error_reply('REUSED the key was used for another call')
  end
  if said[1] then
    tally('replayed', 1)
    return {said[1], said[2], said[3], tonumber(said[4]), 0, 1}
  end
end

"""
_MATCH_OF_TAKE = """\
local grade, found = match(call_prefix, callers, gone_prefix, ani, rule, match_digits, most_callers, now)
if grade == 'ambiguous' then
  tally('ambiguous', 1)
  return redis.error_reply('AMBIGUOUS more than one live caller fits')
end
if grade == 'gone' then
  return found
end
if not grade then
  return nil
end

"""
_REPLAY_OF_LEASE = """\
if reply_ms > 0 then
  local said = redis.call('HMGET', reply, 'dnis', 'token', 'leased_ms', 'fingerprint')
  if said[1] and said[4] ~= fingerprint then
    return redis.error_reply('REUSED the key was used for another request')
  end
  local call = said[1] and call_prefix .. said[1] .. ':' .. ani
  local is_live = said[1] and redis.call('HGET', call, 'token') == said[2]
  if said[1] and (is_live or while_live ~= '1') then
    tally('replayed', 1)
    return {'replayed', said[1], said[2], tonumber(said[3]), is_live and redis.call('PTTL', call) or 0}
  end
end

"""
_MOST_LIVE = """\
if max_live > 0 then
  local running = redis.call('ZRANGE', live, '(' .. ms(now), '+inf', 'BYSCORE', 'LIMIT', 0, max_live, 'WITHSCORES')
  if #running >= 2 * max_live then
    tally('over_max_live', 1)
    return {'max_live', running[2] - now}
  end
end

"""
_GONE = """\
  local gone = redis.call('GET', gone_prefix .. ani)
  if gone then
    return 'gone', tonumber(gone)
  end
"""
_TAILS = """\
  if #tails > 0 then
    return #tails == 1 and 'suffix' or 'ambiguous', tails[1]
  end
"""
_SOLE = """\
  if rule == 'sole' and #others > 0 then
    return #others == 1 and 'sole' or 'ambiguous', others[1]
  end
"""

MUTATIONS = [
    # ---- numbers and their rest
    Mutation(
        "a take puts a number back that is no longer in the pool",
        "lua/take.lua",
        "'ZADD', numbers, 'XX', ms(rests_until)",
        "'ZADD', numbers, ms(rests_until)",
        (LEASE, SYNC),
    ),
    Mutation(
        "a renewal puts a number back that is no longer in the pool",
        "lua/renew.lua",
        "'ZADD', numbers, 'XX', ms(rests_until)",
        "'ZADD', numbers, ms(rests_until)",
        (LEASE,),
    ),
    Mutation(
        "a lease puts the fallback number among the pool's",
        "lua/lease.lua",
        "redis.call('ZADD', numbers, 'XX', ms(last_end + rest_ms), dnis)",
        "redis.call('ZADD', numbers, ms(last_end + rest_ms), dnis)",
        (PROMISES,),
    ),
    Mutation(
        "no cool-down after a lease",
        "lua/lease.lua",
        "ms(last_end + rest_ms), dnis)",
        "ms(last_end), dnis)",
        (LEASE,),
    ),
    Mutation(
        "no cool-down after a take",
        "lua/take.lua",
        "(stay[1] or now) + rest_ms",
        "stay[1] or now",
        (TAKE,),
    ),
    Mutation(
        "no cool-down after a renewal",
        "lua/renew.lua",
        "local rests_until = all_ends[1] + rest_ms",
        "local rests_until = all_ends[1]",
        (RENEW,),
    ),
    Mutation(
        "a taken sharer frees the others' number",
        "lua/take.lua",
        "(stay[1] or now) + rest_ms",
        "now + rest_ms",
        (TAKE,),
    ),
    Mutation(
        "a renewed sharer shortens the others' rest",
        "lua/renew.lua",
        "local rests_until = all_ends[1] + rest_ms",
        "local rests_until = until_ms + rest_ms",
        (RENEW,),
    ),
    Mutation(
        "a shared number rests only until the newest call ends",
        "lua/lease.lua",
        "math.max(until_ms, others[1] or 0)",
        "until_ms",
        (LEASE,),
    ),
    Mutation(
        "a call that exists is overwritten",
        "lua/lease.lua",
        "if not last_end and not clashes(free) then",
        "if true then",
        (LEASE,),
    ),
    Mutation(
        "a number may rest for less than a take is remembered",
        "cticache/numbering/pools.py",
        'return self.cooldown_ms if self.match == "exact" else max(self.cooldown_ms, self.remember_ms)',
        "return self.cooldown_ms",
        (PROMISES,),
    ),
    Mutation(
        "one caller more than max_callers",
        "lua/lease.lua",
        "(fewest and #fewest or max_callers)",
        "(fewest and #fewest or max_callers + 1)",
        (LEASE,),
    ),
    Mutation(
        "one caller more than max_callers on the fallback number",
        "lua/lease.lua",
        "if #running < max_callers and not clashes(fallback) then",
        "if not clashes(fallback) then",
        (PROMISES,),
    ),
    # ---- callers that are told apart
    Mutation(
        "two calls of one tail share a number",
        "lua/lease.lua",
        "if tail_digits > 0 and #ani >= tail_digits then",
        "if false then",
        (PROMISES,),
    ),
    Mutation(
        "two calls of one ANI share a number",
        "lua/lease.lua",
        "if (ended and ended + rest_ms > now) or redis.call('EXISTS', call_prefix .. dnis .. ':' .. ani) == 1 then",
        "if false then",
        (LEASE,),
    ),
    Mutation(
        "a number is shared with nobody told apart",
        "lua/lease.lua",
        "(fewest and #fewest or max_callers) and not clashes(dnis) then",
        "(fewest and #fewest or max_callers) then",
        (PROMISES,),
    ),
    Mutation(
        "the fallback number is shared with nobody told apart",
        "lua/lease.lua",
        "if #running < max_callers and not clashes(fallback) then",
        "if #running < max_callers then",
        (PROMISES,),
    ),
    Mutation(
        "the tail of a call just taken is lent again at once",
        "lua/lease.lua",
        "redis.call('ZRANGE', callers, '(' .. ms(now - rest_ms), '+inf', 'BYSCORE',",
        "redis.call('ZRANGE', callers, '(' .. ms(now), '+inf', 'BYSCORE',",
        (PROMISES,),
    ),
    Mutation(
        "a lease forgets whose calls on the number have just ended",
        "lua/lease.lua",
        "redis.call('ZREMRANGEBYSCORE', callers, '-inf', ms(now - rest_ms))",
        "redis.call('ZREMRANGEBYSCORE', callers, '-inf', ms(now))",
        (PROMISES,),
    ),
    Mutation(
        "a renewed call is listed until its old end",
        "lua/renew.lua",
        "redis.call('ZADD', callers, ms(until_ms), found)\n",
        "",
        (RENEW, PROMISES),
    ),
    Mutation(
        "a renewed call's list of callers ends before it",
        "lua/renew.lua",
        "redis.call('PEXPIREAT', callers, ms(rests_until))\n",
        "",
        (PROMISES,),
    ),
    Mutation(
        "a resting number is shared where tails tell calls apart",
        "lua/lease.lua",
        "if not dnis and tail_digits == 0 then",
        "if not dnis then",
        (MODEL,),
    ),
    # ---- whose call
    Mutation(
        "suffix takes the first of two",
        "lua/include/match.lua",
        "return #tails == 1 and 'suffix' or 'ambiguous', tails[1]",
        "return 'suffix', tails[1]",
        (PROMISES,),
    ),
    Mutation(
        "an exact hit hides another equal tail",
        "lua/include/match.lua",
        "return #tails == 0 and 'exact' or 'ambiguous', ani",
        "return 'exact', ani",
        (PROMISES,),
    ),
    Mutation(
        "sole takes the first of two",
        "lua/include/match.lua",
        "return #others == 1 and 'sole' or 'ambiguous', others[1]",
        "return 'sole', others[1]",
        (PROMISES,),
    ),
    Mutation(
        "suffix serves a pool of exact numbers",
        "lua/include/match.lua",
        "if rule ~= 'exact' then",
        "if true then",
        (SOAK,),
    ),
    # ---- a repeated take
    Mutation(
        "the tombstone stands under the matched ANI only",
        "lua/take.lua",
        "if found ~= ani then",
        "if false then",
        (PROMISES,),
    ),
    Mutation(
        "the tombstone stands under the presented ANI only",
        "lua/take.lua",
        "redis.call('SET', gone_prefix .. found, ms(now), 'PX', ms(gone_ms))\n",
        "",
        (PROMISES, TAKE),
    ),
    Mutation(
        "the tombstone is looked up after sole",
        "lua/include/match.lua",
        _GONE + _TAILS + _SOLE,
        _TAILS + _SOLE + _GONE,
        (PROMISES,),
    ),
    Mutation(
        "the tombstone is looked up after suffix",
        "lua/include/match.lua",
        _GONE + _TAILS,
        _TAILS + _GONE,
        (PROMISES,),
    ),
    Mutation(
        "the replay of a take is looked up after its match",
        "lua/take.lua",
        _REPLAY_OF_TAKE + _MATCH_OF_TAKE,
        _MATCH_OF_TAKE + _REPLAY_OF_TAKE,
        (PROMISES,),
    ),
    Mutation(
        "the key of a take is everybody's",
        "cticache/data/keys.py",
        'f"taken:{user}:{key}"',
        'f"taken::{key}"',
        (PROMISES,),
    ),
    Mutation(
        "the key of a take serves another call",
        "lua/take.lua",
        "if said[1] and said[5] ~= dnis .. ':' .. ani then",
        "if false then",
        (PROMISES,),
    ),
    # ---- a repeated lease
    Mutation(
        "the key of a lease is everybody's",
        "cticache/data/keys.py",
        'f"reply:{user}:{key}"',
        'f"reply::{key}"',
        (PROMISES,),
    ),
    Mutation(
        "the key of a lease serves another request",
        "lua/lease.lua",
        "if said[1] and said[4] ~= fingerprint then",
        "if false then",
        (PROMISES,),
    ),
    Mutation(
        "the fingerprint of a request lacks its value",
        "cticache/data/store.py",
        "sent, value, ttl_ms])",
        "sent, ttl_ms])",
        (PROMISES,),
    ),
    Mutation(
        "a key is good only while the call is live",
        "lua/lease.lua",
        "if said[1] and (is_live or while_live ~= '1') then",
        "if is_live then",
        (PROMISES,),
    ),
    Mutation(
        "the retry window hands out a number whose call is over",
        "lua/lease.lua",
        "if said[1] and (is_live or while_live ~= '1') then",
        "if said[1] then",
        (PROMISES,),
    ),
    Mutation(
        "the retry window takes withheld callers for one",
        "cticache/data/store.py",
        "if key or (pool.retry_window_ms and ani):",
        "if key or pool.retry_window_ms:",
        (PROMISES,),
    ),
    Mutation(
        "max_live is checked before the replay",
        "lua/lease.lua",
        _REPLAY_OF_LEASE + _MOST_LIVE,
        _MOST_LIVE + _REPLAY_OF_LEASE,
        (PROMISES,),
    ),
    Mutation(
        "a taken call still counts for max_live",
        "lua/take.lua",
        "redis.call('ZREM', live, member)\n",
        "",
        (PROMISES,),
    ),
    # ---- a late writer
    Mutation(
        "a take ignores If-Match",
        "lua/take.lua",
        "if if_match ~= '' and",
        "if false and",
        (PROMISES,),
    ),
    Mutation(
        "a renewal ignores If-Match",
        "lua/renew.lua",
        "if if_match ~= '' and",
        "if false and",
        (PROMISES,),
    ),
    # ---- what is counted
    Mutation(
        "a call that was read stays pending",
        "lua/read.lua",
        "  redis.call('ZREM', pending, member)\n",
        "",
        (PROMISES,),
    ),
    Mutation(
        "the lessee's own read is a claim",
        "lua/read.lua",
        "if held[4] ~= reader and",
        "if",
        (PROMISES,),
    ),
    Mutation(
        "a look at the pool counts no unclaimed calls",
        "lua/pool_stats.lua",
        "reap(tally)\n",
        "",
        (PROMISES,),
    ),
    Mutation(
        "a lease counts no unclaimed calls in passing",
        "lua/lease.lua",
        "reap(tally, member)\n",
        "",
        (PROMISES,),
    ),
    # ---- numbers that come and go
    Mutation(
        "a number that moves is leased beside its old pool's calls",
        "lua/pool_sync.lua",
        "ms(math.max(ended and ended + rest_ms or 0, free_ms))",
        "ms(ended and ended + rest_ms or 0)",
        (SYNC,),
    ),
    Mutation(
        "a number with calls that is dropped is forgotten",
        "lua/pool_sync.lua",
        "if ended and redis.call('ZSCORE', numbers, dnis) then",
        "if false then",
        (SYNC,),
    ),
    Mutation(
        "a call on a moved number is renewed beyond what the new pool was told",
        "lua/renew.lua",
        "ttl_ms = math.max(math.min(ttl_ms, promised - rest_ms - now), left)",
        "ttl_ms = math.max(ttl_ms, left)",
        (RENEW,),
    ),
    # ---- what expires
    Mutation(
        "a call never expires",
        "lua/lease.lua",
        "redis.call('PEXPIREAT', call, ms(until_ms))\n",
        "",
        (LEASE,),
    ),
    Mutation(
        "a lease's remembered answer never expires",
        "lua/lease.lua",
        "  redis.call('PEXPIRE', reply, ms(reply_ms))\n",
        "",
        (PROMISES,),
    ),
    Mutation(
        "a take's remembered answer never expires",
        "lua/take.lua",
        "  redis.call('PEXPIRE', taken, ms(gone_ms))\n",
        "",
        (PROMISES,),
    ),
    # ---- Redis and HTTP
    Mutation(
        "the client library repeats a command whose reply was lost",
        "cticache/link/connection.py",
        "Retry(NoBackoff(), 0)",
        "Retry(NoBackoff(), 3)",
        (f"{AWAY}::test_a_take_whose_reply_is_lost_is_not_repeated",),
    ),
    Mutation(
        "a slot that has moved is asked for where it was",
        "cticache/link/cluster.py",
        "        self._slots[slot] = address\n",
        "",
        (CLUSTER,),
    ),
    Mutation(
        "a redirection to the other end of a move lacks its ASKING",
        "cticache/link/cluster.py",
        '[("ASKING",), command] if asking else [command]',
        "[command]",
        (CLUSTER,),
    ),
    Mutation(
        "the other end of a move is not asked",
        "cticache/link/cluster.py",
        "target if asking else self._owner(slot, until)",
        "self._owner(slot, until)",
        (CLUSTER,),
    ),
    Mutation(
        "a command whose fate is unknown is repeated",
        "cticache/link/cluster.py",
        "            self._topology.look()  # a replica may have taken its place\n            raise\n",
        "            self._topology.look()\n            return self._node(address).run(commands)\n",
        (CLUSTER,),
    ),
    Mutation(
        "a refusal is the reply at once",
        "cticache/link/cluster.py",
        "time.monotonic() >= until:\n                break",
        "hop > 1:\n                break",
        (CLUSTER,),
    ),
    Mutation(
        "a node that fails has nobody asked who has its slots",
        "cticache/link/cluster.py",
        "            self._topology.look()  # a replica may have taken its place\n",
        "",
        (CLUSTER,),
    ),
    Mutation(
        "the nodes are asked without a pause",
        "cticache/link/cluster.py",
        " or time.monotonic() < self._next_look):",
        "):",
        (CLUSTER,),
    ),
    Mutation(
        "a node that is away keeps the scripts from the others",
        "cticache/link/cluster.py",
        "                away = error\n                continue\n",
        "                raise\n",
        (CLUSTER,),
    ),
    Mutation(
        "a script runs while its slot moves",
        "cticache/data/keys.py",
        'self._of(pool, "stats", "stats:")',
        'self._of(pool, "stats:", "stats:")',
        ("tests/lua/test_contract.py",),
    ),
    Mutation(
        "a demoted primary is asked again",
        "cticache/data/store.py",
        "self._runner.drop()",
        "pass",
        (f"{AWAY}::test_a_demoted_primary_is_noticed_and_its_connections_dropped", "tests/process/test_sentinel.py"),
    ),
    Mutation(
        "a server that closes each connection is dialled without end",
        "cticache/loop/redis_channel.py",
        "            self._answered = False\n",
        "",
        ("tests/loop/test_redis_channel.py",),
    ),
    Mutation(
        "a forgotten script is not brought along",
        "cticache/data/store.py",
        "self._scripts.call_in_full(*calls[at])",
        "self._scripts.call(*calls[at])",
        ("tests/lua/test_contract.py", "tests/loop/test_batches.py"),
    ),
    Mutation(
        "who may read may take",
        "cticache/web/resources.py",
        '"take"',
        '"read"',
        ("tests/web/test_roles.py",),
    ),
    Mutation(
        "who may take may read",
        "cticache/web/resources.py",
        '"read"',
        '"take"',
        ("tests/web/test_roles.py",),
    ),
    Mutation(
        "a fault tells the client its text",
        "cticache/web/app.py",
        "_answer(resp, refusal)",
        "_answer(resp, Refusal(str(error)))",
        (SECRETS,),
    ),
    Mutation(
        "a fault tells the log its text",
        "cticache/web/app.py",
        '_log.error("%s in %s\\n%s", type(error).__name__, req.method, frames)',
        '_log.error("%s in %s\\n%s", error, req.method, frames)',
        (SECRETS,),
    ),
    Mutation(
        "the client is told what Redis said",
        "cticache/data/store.py",
        '"The store is away or refuses to work. Nothing was answered from it; try again.",',
        "str(error),",
        (SECRETS,),
    ),
    Mutation(
        "callers' data may be kept by caches on the way",
        "cticache/web/app.py",
        'resp.set_header("Cache-Control", "no-store")',
        "pass",
        (
            f"{REFUSALS}::test_a_post_without_the_role_lease_is_403",
            "tests/web/test_exchange.py::test_the_exchange_works_to_the_byte",
        ),
    ),
]


def main() -> int:
    """Try them; 1 when one survives."""
    words = sys.argv[1:]
    chosen = [each for each in MUTATIONS if not words or any(word in each.what + each.file for word in words)]
    python = ready("embedded", "test")
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    if "TEST_REDIS" not in environment and (binary := _packaged(python)):
        environment["TEST_REDIS"] = f"binary:{binary}"
    shared = environment.get("TEST_REDIS", "").startswith(("redis", "unix"))
    whole = Mutation("nothing", "lua/take.lua", "", "", tuple(sorted({test for each in chosen for test in each.tests})))
    failed, told = _try(whole, python, environment)
    if failed or "passed" not in told:
        print(f"the tests do not pass with nothing changed: {told}")
        return 1
    survived = 0
    with ThreadPoolExecutor(1 if shared else max(2, os.cpu_count() or 1)) as at_once:
        tries = at_once.map(lambda each: _try(each, python, environment), chosen)
        for each, (killed, told) in zip(chosen, tries, strict=True):
            survived += not killed
            print(f"{'killed  ' if killed else 'SURVIVED'}  {each.file}: {each.what} ({told})", flush=True)
    print(f"{len(chosen)} mutations, {survived} survived")
    return 1 if survived else 0


def _try(mutation: Mutation, python: Path, environment: dict[str, str]) -> tuple[bool, str]:
    """Whether a test failed on the mutated copy, and the last line of the tests, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=_LEAVE_OUT)
        file = copy / mutation.file
        source = file.read_text("utf-8")
        if mutation.old not in source:
            return False, "the text to replace is not there"
        file.write_text(source.replace(mutation.old, mutation.new) if mutation.old else source, "utf-8")
        tests = subprocess.run(
            [python, "-m", "pytest", "-q", "--hypothesis-profile", "unshrunk", "--hypothesis-seed", "0",
             "-p", "no:cacheprovider", *([] if mutation.what == "nothing" else ["-x"]), *mutation.tests],
            cwd=copy,
            env=environment | {"PYTHONPATH": str(copy)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        lines = tests.stdout.strip().splitlines() or [f"no test ran: {tests.stderr.strip()[-200:]}"]
        broken = [line for line in lines if re.search("does not compile|SyntaxError|ImportError", line)]
        return tests.returncode == _TESTS_FAILED and not broken, (broken or lines)[-1]


def _packaged(python: Path) -> str:
    """A server program that needs no Docker; empty without one."""
    found = subprocess.run([python, "-c", _PACKAGED], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
