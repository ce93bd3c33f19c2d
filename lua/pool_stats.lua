#!lua flags=no-writes
-- pool_stats -- how full a pool is, and what has been done with it.
--
-- A number is free, leased (it has a live call) or cooling. The three add up to size.
--
-- KEYS[1]  numbers      zset  DNIS -> time (ms) from which it may be leased again
-- KEYS[2]  shared       zset  DNIS -> time (ms) until which it has more than one live caller
-- KEYS[3]  leaving      zset  DNIS no longer leased -> time (ms) until which its calls may be asked for
-- KEYS[4]  stats        hash  counters
-- ARGV[1]  cooldown_ms  rest of a number after its last call, integer >= 0
--
-- Returns  {size, free, leased, cooling, shared, leaving, next_free_ms, then the counters leased, shared, rejected,
--          taken, renewed}, integers all; next_free_ms is 0 when a number is free, -1 when the pool has none.
-- Errors   BADARG  cooldown_ms is not an integer >= 0.

local numbers, shared, leaving, stats = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local cooldown_ms = tonumber(ARGV[1])

if not cooldown_ms or cooldown_ms < 0 or cooldown_ms % 1 ~= 0 then
  return redis.error_reply('BADARG cooldown_ms must be an integer >= 0')
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function ms(number)
  return string.format('%.0f', number)
end

local size = redis.call('ZCARD', numbers)
local busy = redis.call('ZCOUNT', numbers, '(' .. ms(now), '+inf')
local leased = redis.call('ZCOUNT', numbers, '(' .. ms(now + cooldown_ms), '+inf')
local soonest = redis.call('ZRANGE', numbers, 0, 0, 'WITHSCORES')[2]

local reply = {
  size,
  size - busy,
  leased,
  busy - leased,
  redis.call('ZCOUNT', shared, '(' .. ms(now), '+inf'),
  redis.call('ZCOUNT', leaving, '(' .. ms(now), '+inf'),
  soonest and math.max(soonest - now, 0) or -1,
}
for _, count in ipairs(redis.call('HMGET', stats, 'leased', 'shared', 'rejected', 'taken', 'renewed')) do
  reply[#reply + 1] = tonumber(count or 0)
end
return reply
