#!lua
-- renew -- start the time of one call again and, if a value is given, replace its value.
--
-- KEYS[1]  numbers      zset    DNIS -> time (ms) from which it may be leased again
-- KEYS[2]  shared       zset    DNIS -> time (ms) until which it has more than one live caller
-- KEYS[3]  leaving      zset    DNIS no longer leased -> time (ms) until which its calls may be asked for
-- KEYS[4]  stats        hash    counters: renewed
-- KEYS[5]  call         hash    value, token, leased_ms, lessee
-- KEYS[6]  callers      zset    ANI -> time (ms) at which its lease ends
-- KEYS[7]  call_prefix  prefix  of call:<dnis>:<ani>, for the number's other callers
-- ARGV[1]  dnis         the number
-- ARGV[2]  ani          canonical; '' is withheld
-- ARGV[3]  ttl_ms       length of the lease from now, integer > 0
-- ARGV[4]  cooldown_ms  rest of a number after its last call, integer >= 0
-- ARGV[5]  max_callers  most live callers on one number, integer > 0
-- ARGV[6]  replace      1 when value is to be stored, else 0
-- ARGV[7]  value        opaque text
--
-- Returns  {value, token}, the value now stored; nil when nothing is live under this key.
-- Errors   BADARG  a number in ARGV is not an integer in its range.

local numbers, shared, leaving, stats = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local call, callers, call_prefix = KEYS[5], KEYS[6], KEYS[7]
local dnis, ani, ttl_ms, cooldown_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local max_callers, replace, value = tonumber(ARGV[5]), ARGV[6], ARGV[7]

local function whole(number, least)
  return number and number >= least and number % 1 == 0
end

if not (whole(ttl_ms, 1) and whole(cooldown_ms, 0) and whole(max_callers, 1)) then
  return redis.error_reply('BADARG ttl_ms, cooldown_ms and max_callers must be integers in range')
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function ms(number)
  return string.format('%.0f', number)
end

local held = redis.call('HMGET', call, 'value', 'token')
if not held[1] or not held[2] then
  return nil
end

-- The live ends on this number, the latest first. These reads also fail, before any write, on a key of a wrong type.
local until_ms = now + ttl_ms
local ends = {until_ms}
local listed = redis.call('ZRANGE', callers, '+inf', '(' .. ms(now), 'BYSCORE', 'REV',
  'LIMIT', 0, max_callers + 1, 'WITHSCORES')
for i = 1, #listed, 2 do
  if listed[i] ~= ani and redis.call('EXISTS', call_prefix .. dnis .. ':' .. listed[i]) == 1 then
    ends[#ends + 1] = tonumber(listed[i + 1])
  end
end
table.sort(ends, function(a, b) return a > b end)
local rests_until = ends[1] + cooldown_ms
redis.call('ZSCORE', numbers, dnis)
redis.call('ZSCORE', shared, dnis)
redis.call('ZSCORE', leaving, dnis)
redis.call('HEXISTS', stats, 'renewed')

if replace == '1' then
  redis.call('HSET', call, 'value', value)
  held[1] = value
end
redis.call('PEXPIREAT', call, ms(until_ms))
redis.call('ZADD', callers, ms(until_ms), ani)
redis.call('PEXPIREAT', callers, ms(rests_until))
redis.call('ZADD', numbers, 'XX', ms(rests_until), dnis)
if redis.call('ZADD', leaving, 'XX', 'CH', ms(rests_until), dnis) == 1 then
  redis.call('PEXPIREAT', leaving, ms(redis.call('ZRANGE', leaving, -1, -1, 'WITHSCORES')[2]))
end
if ends[2] then
  redis.call('ZADD', shared, ms(ends[2]), dnis)
  redis.call('PEXPIREAT', shared, ms(redis.call('ZRANGE', shared, -1, -1, 'WITHSCORES')[2]))
else
  redis.call('ZREM', shared, dnis)
end
redis.call('HINCRBY', stats, 'renewed', 1)
return held
