#!lua
-- lease -- lend a number to one caller and keep the caller's value under the two of them.
--
-- The number that has been free longest is lent to this caller alone. With none free, `share` puts the caller on
-- the number with the fewest live callers, among those whose leases end soonest; a cooling number comes last.
-- A number is never shared by two calls of one ANI, nor lent to an ANI whose last call on it still cools down.
--
-- KEYS[1]  numbers         zset    DNIS -> time (ms) from which it may be leased again
-- KEYS[2]  shared          zset    DNIS -> time (ms) until which it has more than one live caller
-- KEYS[3]  stats           hash    counters: leased, shared, rejected
-- KEYS[4]  call_prefix     prefix  of call:<dnis>:<ani>, a hash: value, token, leased_ms, lessee
-- KEYS[5]  callers_prefix  prefix  of callers:<dnis>, a zset: ANI -> time (ms) at which its lease ends
-- ARGV[1]  ani             canonical; '' is withheld
-- ARGV[2]  value           opaque text
-- ARGV[3]  token           names this lease, unique
-- ARGV[4]  lessee          the user who asks
-- ARGV[5]  ttl_ms          length of the lease, integer > 0
-- ARGV[6]  cooldown_ms     rest of a number after its last call, integer >= 0
-- ARGV[7]  exhausted       'share' or 'reject'
-- ARGV[8]  share_scan      most numbers looked at in one step, integer > 0
-- ARGV[9]  max_callers     most live callers on one number, integer > 0
--
-- The call and callers keys are built here, in the slot of their prefixes, because the script chooses the number.
--
-- Returns  {dnis, shared}, shared 1 or 0; or an integer when none can be had: ms until a number falls free,
--          -1 when the pool has no numbers.
-- Errors   BADARG  a number in ARGV is not an integer in its range, or exhausted is neither word.

local numbers, shared, stats, call_prefix, callers_prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ani, value, token, lessee = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ttl_ms, cooldown_ms, exhausted = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local share_scan, max_callers = tonumber(ARGV[8]), tonumber(ARGV[9])

local function whole(number, least)
  return number and number >= least and number % 1 == 0
end

if not (whole(ttl_ms, 1) and whole(cooldown_ms, 0) and whole(share_scan, 1) and whole(max_callers, 1)) then
  return redis.error_reply('BADARG ttl_ms, cooldown_ms, share_scan and max_callers must be integers in range')
end
if exhausted ~= 'share' and exhausted ~= 'reject' then
  return redis.error_reply("BADARG exhausted must be 'share' or 'reject'")
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function ms(number)
  return string.format('%.0f', number)
end

local function call_key(dnis, caller)
  return call_prefix .. dnis .. ':' .. caller
end

-- How many live callers the number has, and the latest two of their ends. A caller listed whose call key is gone
-- is not live; those beyond the first max_callers are counted unseen, so that the walk has its bound.
local function live(dnis)
  local callers = callers_prefix .. dnis
  local count = redis.call('ZCOUNT', callers, '(' .. ms(now), '+inf')
  local ends = {}
  if count > 0 then
    local listed = redis.call('ZRANGE', callers, '+inf', '(' .. ms(now), 'BYSCORE', 'REV',
      'LIMIT', 0, max_callers, 'WITHSCORES')
    for i = 1, #listed, 2 do
      if redis.call('EXISTS', call_key(dnis, listed[i])) == 1 then
        ends[#ends + 1] = tonumber(listed[i + 1])
      else
        count = count - 1
      end
    end
  end
  return count, ends[1], ends[2]
end

-- This ANI's call on the number is live, or ended less than a cool-down ago and may still be asked for.
local function lingers(dnis)
  local ended = redis.call('ZSCORE', callers_prefix .. dnis, ani)
  return (ended and ended + cooldown_ms > now) or redis.call('EXISTS', call_key(dnis, ani)) == 1
end

-- The number with the fewest live callers of those between two scores, on which this ANI is alone.
local function emptiest(from, to)
  local best, fewest, first, second
  for _, dnis in ipairs(redis.call('ZRANGE', numbers, from, to, 'BYSCORE', 'LIMIT', 0, share_scan)) do
    local count, latest, next_latest = live(dnis)
    if count < (fewest or max_callers) and not lingers(dnis) then
      best, fewest, first, second = dnis, count, latest, next_latest
      if count < 2 then
        break
      end
    end
  end
  return best, first, second
end

local dnis, latest, next_latest

-- These reads fail, before any write, on a key of a wrong type.
redis.call('HEXISTS', stats, 'leased')
redis.call('ZCARD', shared)

for _ = 1, share_scan do
  local free = redis.call('ZRANGE', numbers, '-inf', ms(now), 'BYSCORE', 'LIMIT', 0, 1)[1]
  if not free then
    break
  end
  local count, last_end = live(free)
  if count == 0 and not lingers(free) then
    dnis = free
    break
  end
  -- Its score said free and its callers say otherwise (a restored or edited database): put the score right.
  local left = math.max(redis.call('PTTL', call_key(free, ani)), 1)
  redis.call('ZADD', numbers, 'XX', ms(math.max(last_end or 0, now + left) + cooldown_ms), free)
end

if not dnis and exhausted == 'share' then
  dnis, latest, next_latest = emptiest('(' .. ms(now + cooldown_ms), '+inf')
  if not dnis then
    dnis, latest, next_latest = emptiest('(' .. ms(now), ms(now + cooldown_ms))
  end
end

if not dnis then
  redis.call('HINCRBY', stats, 'rejected', 1)
  local soonest = redis.call('ZRANGE', numbers, 0, 0, 'WITHSCORES')[2]
  return soonest and math.max(soonest - now, 1) or -1
end

local call, callers = call_key(dnis, ani), callers_prefix .. dnis
local until_ms = now + ttl_ms
local last_end = math.max(until_ms, latest or 0)

redis.call('HSET', call, 'value', value, 'token', token, 'leased_ms', ms(now), 'lessee', lessee)
redis.call('PEXPIREAT', call, ms(until_ms))
redis.call('ZREMRANGEBYSCORE', callers, '-inf', ms(now - cooldown_ms))
redis.call('ZADD', callers, ms(until_ms), ani)
redis.call('PEXPIREAT', callers, ms(last_end + cooldown_ms))
redis.call('ZADD', numbers, 'XX', ms(last_end + cooldown_ms), dnis)
redis.call('HINCRBY', stats, 'leased', 1)
if not latest then
  return {dnis, 0}
end

-- The number stays shared until the second-latest of its callers' ends.
redis.call('ZREMRANGEBYSCORE', shared, '-inf', ms(now))
redis.call('ZADD', shared, ms(math.max(math.min(until_ms, latest), next_latest or 0)), dnis)
redis.call('PEXPIREAT', shared, ms(redis.call('ZRANGE', shared, -1, -1, 'WITHSCORES')[2]))
redis.call('HINCRBY', stats, 'shared', 1)
return {dnis, 1}
