#!lua flags=allow-oom
-- pool_stats -- how full a pool is, and what has been done with it.
--
-- A number is free, leased (it has a live call) or cooling. The three add up to size. In passing it counts calls that
-- ended before anybody asked for them.
--
-- KEYS[1]  numbers       zset    DNIS -> time (ms) from which it may be leased again
-- KEYS[2]  shared        zset    DNIS -> time (ms) until which it has more than one live caller
-- KEYS[3]  leaving       zset    DNIS no longer leased -> time (ms) until which its calls may be asked for
-- KEYS[4]  pending       zset    dnis:ani -> time (ms) at which it ends, until somebody asks for it
-- KEYS[5]  unclaimed     zset    DNIS -> how many of its calls in a row nobody asked for
-- KEYS[6]  stats         hash    counters
-- KEYS[7]  stats_prefix  prefix  of stats:<hour>, a hash: the counters of one hour; the script finds the hour
-- ARGV[1]  rest_ms       rest of a number after its last call, integer >= 0
-- ARGV[2]  reap_step     most ended calls counted in passing, integer >= 0
-- ARGV[3]  most_missed   most numbers named in the third list, integer > 0
--
-- Writes    pending, unclaimed, stats, stats_prefix
-- Includes  whole, ms, clock, tally, reap
--
-- Returns  three lists: {size, free, leased, cooling, shared, leaving, next_free_ms}, integers all, next_free_ms 0 when
--          a number is free, -1 when the pool has none; {counter, count, ...}; {DNIS, how many of its calls in a row
--          nobody asked for, ...}, the most first.
-- Errors   BADARG  a number in ARGV is not an integer in its range.

local numbers, shared, leaving, pending, unclaimed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local stats, stats_prefix = KEYS[6], KEYS[7]
local rest_ms, reap_step, most_missed = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local whole = include('whole')

if not (whole(rest_ms, 0) and whole(reap_step, 0) and whole(most_missed, 1)) then
  return redis.error_reply('BADARG rest_ms, reap_step and most_missed must be integers in range')
end

local ms = include('ms')
local now = include('clock')()
local tally = include('tally')(stats, stats_prefix, now)
local reap = include('reap')(pending, unclaimed, reap_step, now)
reap(tally)

local size = redis.call('ZCARD', numbers)
local busy = redis.call('ZCOUNT', numbers, '(' .. ms(now), '+inf')
local leased = redis.call('ZCOUNT', numbers, '(' .. ms(now + rest_ms), '+inf')
local soonest = redis.call('ZRANGE', numbers, 0, 0, 'WITHSCORES')[2]

local figures = {
  size,
  size - busy,
  leased,
  busy - leased,
  redis.call('ZCOUNT', shared, '(' .. ms(now), '+inf'),
  redis.call('ZCOUNT', leaving, '(' .. ms(now), '+inf'),
  soonest and math.max(soonest - now, 0) or -1,
}
return {
  figures,
  redis.call('HGETALL', stats),
  redis.call('ZRANGE', unclaimed, 0, most_missed - 1, 'REV', 'WITHSCORES'),
}
