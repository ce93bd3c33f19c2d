"""Lets time pass without waiting, and shows what is stored."""

import re
import time
from typing import Any

from redis import Redis

from cticache.data.store import Store

_SHIFT = """
-- Make everything stored ARGV[1] ms older, or as much as ARGV[3], a time of this server in ms, is ahead of its clock;
-- then round the time that is left to it to multiples of ARGV[2] ms, 0: not. Returns the server's time in ms.
local unit = tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local older = ARGV[3] and ARGV[3] - now or tonumber(ARGV[1])

local function left(ms)
  ms = ms - older
  return unit > 0 and math.floor(ms / unit + 0.5) * unit or ms
end

local function moved(ms)  -- a time since 1970; 0 has always been
  ms = tonumber(ms)
  return ms > 1e12 and string.format('%.0f', now + left(ms - now)) or ms
end

local function moved_field(key, name, ms)
  if ms then
    redis.call('HSET', key, name, moved(ms))
  end
end

for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local to_live = redis.call('PTTL', key)
  if kind == 'zset' then
    local listed = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for i = 1, #listed, 1000 do
      local scored = {}
      for j = i, math.min(i + 999, #listed), 2 do
        scored[#scored + 1] = moved(listed[j + 1])
        scored[#scored + 1] = listed[j]
      end
      redis.call('ZADD', key, 'XX', unpack(scored))
    end
  elseif kind == 'hash' then
    local leased, over, nth, ms = unpack(redis.call('HMGET', key, 'leased_ms', 'over_ms', 'nth', 'ms'))
    moved_field(key, 'leased_ms', leased)
    moved_field(key, 'over_ms', leased and over)
    moved_field(key, 'ms', not leased and nth and ms)
  elseif key:find(':gone:', 1, true) then
    local ms, token = redis.call('GET', key):match('^(%d+)(.*)$')
    redis.call('SET', key, moved(ms) .. token, 'KEEPTTL')
  end
  if to_live >= 0 then
    redis.call('PEXPIRE', key, string.format('%.0f', left(to_live)))  -- deletes it where no time is left
  end
end
return now
"""


def age(client: Redis, ms: int) -> None:
    """Make everything stored ``ms`` milliseconds older, as if it had been written that much earlier."""
    client.eval(_SHIFT, 0, ms, 0)


def set_clock(client: Redis, store: Store, ms: int) -> None:
    """Set Redis's clock ahead by so many ms, below 0 back: what is stored and what is expected stay behind."""
    age(client, ms)
    expect_before(store, ms)


def expect_before(store: Store, ms: int) -> None:
    """Have the store expect of Redis's clock what it did before that was set ahead by so many ms."""
    store.clocks.ahead = {pool: ahead - ms for pool, ahead in store.clocks.ahead.items()}


def on_the_second(client: Redis) -> None:
    """Round the time that is left to everything to whole seconds: undoes what real time has passed since."""
    client.eval(_SHIFT, 0, 0, 1000)


def an_hour_passes(client: Redis) -> None:
    """Make what was counted in each hour the count of the hour before."""
    for key in sorted(client.keys("*:stats:*")):
        head, _, hour = key.rpartition(":")
        client.rename(key, f"{head}:{int(hour) - 1}")


def minutes_pass(client: Redis, minutes: int = 1) -> None:
    """Make what was kept of each minute what was kept of one so many before it; below 0 the clock was set back."""
    for key in client.keys("*:minutes"):
        kept = client.hgetall(key)
        last = int(kept.pop("last")) - minutes
        kept = {str(int(minute) - minutes): text for minute, text in kept.items()} | {"last": str(last)}
        left = client.pttl(key)
        client.delete(key)
        client.hset(key, mapping=kept)
        client.pexpire(key, left)


def early_in_a_minute(client: Redis) -> None:
    """Wait for the next minute of the server where less than a second of this one is left, which is seldom."""
    while (ms := now_ms(client) % 60_000) > 59_000:
        time.sleep((60_000 - ms) / 1000)


def hold(client: Redis, since_ms: int, unit_ms: int) -> int:
    """Take back the time since ``since_ms`` and round what is left to everything to units; the server's time in ms.

    Whoever calls it again and again, with the time that it returned, stops the clock for everything stored.
    """
    return int(client.eval(_SHIFT, 0, 0, unit_ms, since_ms))


def now_ms(client: Redis) -> int:
    """The server's time in whole milliseconds."""
    seconds, micros = client.time()
    return seconds * 1000 + micros // 1000


def everything(client: Redis) -> dict[str, Any]:
    """All keys and what they hold, to compare before and after."""
    read = {
        "hash": client.hgetall,
        "string": client.get,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }
    return {key: read[client.type(key)](key) for key in client.scan_iter()}


def dumped(client: Redis) -> dict[str, bytes]:
    """All keys, and each as Redis itself would store it away."""
    return {key: client.dump(key) for key in client.scan_iter()}


def but_counts(client: Redis) -> dict[str, Any]:
    """The same without what is counted, and what is noted to count by."""
    stored = {key: held for key, held in everything(client).items() if not re.search(":(stats|presented)", key)}
    for held in stored.values():
        if isinstance(held, dict):
            held.pop("other", None)
    return stored
