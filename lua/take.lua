#!lua flags=allow-oom
-- take -- hand the value of one call over, once, and release its number into the cool-down.
--
-- The ANI stays listed among the number's callers until the cool-down has passed, its end set to now: until then
-- lease puts no other call of this ANI on the number, so that a repeated take cannot meet one.
-- It frees memory and must run when Redis is full; the delete comes first for 6.2, which knows no flags.
--
-- KEYS[1]  numbers      zset    DNIS -> time (ms) from which it may be leased again
-- KEYS[2]  shared       zset    DNIS -> time (ms) until which it has more than one live caller
-- KEYS[3]  stats        hash    counters: taken
-- KEYS[4]  call         hash    value, token, leased_ms, lessee
-- KEYS[5]  callers      zset    ANI -> time (ms) at which its lease ends
-- KEYS[6]  call_prefix  prefix  of call:<dnis>:<ani>, for the number's other callers
-- ARGV[1]  dnis         the number
-- ARGV[2]  ani          canonical; '' is withheld
-- ARGV[3]  cooldown_ms  rest of a number after its last call, integer >= 0
-- ARGV[4]  max_callers  most live callers on one number, integer > 0
--
-- Returns  {value, token}; nil when nothing is live under this key.
-- Errors   BADARG  a number in ARGV is not an integer in its range.

local numbers, shared, stats, call, callers, call_prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local dnis, ani, cooldown_ms, max_callers = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local function whole(number, least)
  return number and number >= least and number % 1 == 0
end

if not (whole(cooldown_ms, 0) and whole(max_callers, 1)) then
  return redis.error_reply('BADARG cooldown_ms and max_callers must be integers in range')
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

-- The ends of those who stay, the latest first. These reads also fail, before any write, on a key of a wrong type.
local ends = {}
local listed = redis.call('ZRANGE', callers, '+inf', '(' .. ms(now), 'BYSCORE', 'REV',
  'LIMIT', 0, max_callers + 1, 'WITHSCORES')
for i = 1, #listed, 2 do
  if listed[i] ~= ani and redis.call('EXISTS', call_prefix .. dnis .. ':' .. listed[i]) == 1 then
    ends[#ends + 1] = tonumber(listed[i + 1])
  end
end
local was_shared = redis.call('ZSCORE', shared, dnis)
local rests_until = (ends[1] or now) + cooldown_ms
redis.call('ZSCORE', numbers, dnis)
redis.call('HEXISTS', stats, 'taken')

redis.call('DEL', call)
redis.call('ZADD', callers, 'XX', ms(now), ani)
redis.call('PEXPIREAT', callers, ms(rests_until))
redis.call('ZADD', numbers, 'XX', ms(rests_until), dnis)
if was_shared and ends[2] then
  redis.call('ZADD', shared, 'XX', ms(ends[2]), dnis)
elseif was_shared then
  redis.call('ZREM', shared, dnis)
end
redis.call('HINCRBY', stats, 'taken', 1)
return held
