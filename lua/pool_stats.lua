#!lua flags=allow-oom
-- pool_stats -- how full a pool is, and what has been done with it.
--
-- A number is free, leased (it has a live call) or cooling. The three add up to size. In passing it counts calls that
-- ended before anybody asked for them, and drops the users who have no live lease any more.
--
-- KEYS[1]  numbers       zset    DNIS -> time (ms) from which it may be leased again
-- KEYS[2]  shared        zset    DNIS -> time (ms) until which it has more than one live caller
-- KEYS[3]  leaving       zset    DNIS no longer leased -> time (ms) until which its calls may be asked for
-- KEYS[4]  pending       zset    dnis:ani -> time (ms) at which it ends, until somebody asks for it
-- KEYS[5]  unclaimed     zset    DNIS -> how many of its calls in a row nobody asked for
-- KEYS[6]  stats         hash    counters
-- KEYS[7]  stats_prefix  prefix  of stats:<hour>, a hash: the counters of one hour; the script finds the hour
-- KEYS[8]  lessees       zset    user -> time (ms) since when there is a live:<user>
-- KEYS[9]  live_prefix   prefix  of live:<user>, a zset: dnis:ani -> time (ms) at which it ends
-- ARGV[1]  rest_ms       rest of a number after its last call, integer >= 0
-- ARGV[2]  reap_step     most ended calls counted in passing, integer >= 0
-- ARGV[3]  most_missed   most numbers named in the third list, integer > 0
-- ARGV[4]  most_lessees  most users named in the fourth list, integer > 0
--
-- Writes    pending, unclaimed, stats, stats_prefix, lessees
-- Includes  whole, ms, clock, tally, reap
--
-- The live keys are built here because the script finds the users.
--
-- Returns  four lists: {size, free, leased, cooling, shared, leaving, next_free_ms, leaving_until_ms}, integers all,
--          next_free_ms 0 when a number is free, -1 when the pool has none, leaving_until_ms the time until which a
--          call on a leaving number may be asked for, 0 for none; {counter, count, ...}; {DNIS, how many of its calls
--          in a row nobody asked for, ...}, the most first; {user, live leases, ...}.
-- Errors   BADARG  a number in ARGV is not an integer in its range.

local numbers, shared, leaving, pending, unclaimed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local stats, stats_prefix, lessees, live_prefix = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local rest_ms, reap_step, most_missed = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local most_lessees = tonumber(ARGV[4])

local whole = include('whole')

if not (whole(rest_ms, 0) and whole(reap_step, 0) and whole(most_missed, 1) and whole(most_lessees, 1)) then
  return redis.error_reply('BADARG a number is not an integer in its range')
end

local ms = include('ms')
local now = include('clock')()
local now_text = ms(now)
local tally = include('tally')(stats, stats_prefix, now)
local reap = include('reap')(pending, unclaimed, reap_step, now, now_text)
local users, held = redis.call('ZRANGE', lessees, 0, most_lessees - 1), {}
for _, user in ipairs(users) do
  held[user] = redis.call('ZCOUNT', live_prefix .. user, '(' .. now_text, '+inf')
end

reap(tally)
local lives = {}
for _, user in ipairs(users) do
  if held[user] > 0 then
    lives[#lives + 1] = user
    lives[#lives + 1] = held[user]
  elseif redis.call('EXISTS', live_prefix .. user) == 0 then
    redis.call('ZREM', lessees, user)
  end
end

local size = redis.call('ZCARD', numbers)
local busy = redis.call('ZCOUNT', numbers, '(' .. now_text, '+inf')
local leased = redis.call('ZCOUNT', numbers, '(' .. ms(now + rest_ms), '+inf')
local soonest = redis.call('ZRANGE', numbers, 0, 0, 'WITHSCORES')[2]
local last_leaving = tonumber(redis.call('ZRANGE', leaving, -1, -1, 'WITHSCORES')[2] or 0)

local figures = {
  size,
  size - busy,
  leased,
  busy - leased,
  redis.call('ZCOUNT', shared, '(' .. now_text, '+inf'),
  redis.call('ZCOUNT', leaving, '(' .. now_text, '+inf'),
  soonest and math.max(soonest - now, 0) or -1,
  last_leaving > now and last_leaving or 0,
}
return {
  figures,
  redis.call('HGETALL', stats),
  redis.call('ZRANGE', unclaimed, 0, most_missed - 1, 'REV', 'WITHSCORES'),
  lives,
}
