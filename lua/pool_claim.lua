#!lua
-- pool_claim -- say which pools there are and which numbers each is to have, and learn what is valid.
--
-- Services with different pools or numbers must not fight over them: what the last one said is valid, for all pools in
-- one atomic step. Where services are registered (service_look), nothing is claimed that is not what the last of the
-- living has, too. A service that finds anything but its own claims leaves every pool alone.
--
-- KEYS[1]     ruling          hash    pool -> fingerprint of the numbers it is to have; '@' -> the one of all of them
-- KEYS[2]     former          zset    pool that is no longer configured -> time (ms) since when
-- KEYS[3]     services        zset    id of a service -> time (ms) at which it was started
-- KEYS[4]     service_prefix  prefix  of service:<id>, a hash for as long as it lives: numbers, rules, who
-- ARGV[1]     step            'take_over' to have the claims valid, 'claim' to have them so if nothing is, 'forget' to
--                             drop former pools, 'ask', or 'list' to be told all that is valid
-- ARGV[2]     numbers         take_over, claim: fingerprint of the numbers of all pools
-- ARGV[3]     most_services   most services that are looked at, integer > 0
-- ARGV[4...]  claims          take_over, claim: pool, fingerprint, ...; forget: pool, time (ms) since when, ...
--
-- Writes    ruling, former
-- Includes  from, whole, ms, clock
--
-- Returns  {what ruling has under '@' or '', {former pool, since when, ...}, list: {pool, fingerprint, ...}, else {}},
--          as they are valid from now on.
-- Errors   BADARG  the step is none of these, most_services is not an integer > 0, or a pool comes alone.

local ruling, former, services, service_prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local step, numbers, most_services = ARGV[1], ARGV[2], tonumber(ARGV[3])
local claims = include('from')(ARGV, 4)

local whole, ms, clock = include('whole'), include('ms'), include('clock')

-- Whether the living service that was started last, if there is one, has these numbers.
local function may_claim()
  for _, service in ipairs(redis.call('ZRANGE', services, 0, most_services - 1, 'REV')) do
    local its = redis.call('HGET', service_prefix .. service, 'numbers')
    if its then
      return its == numbers
    end
  end
  return true
end

local steps = {}

function steps.take_over()
  if not may_claim() then
    return
  end
  local now = ms(clock())
  for _, pool in ipairs(redis.call('HKEYS', ruling)) do
    if pool ~= '@' then
      redis.call('ZADD', former, 'NX', now, pool)
    end
  end
  redis.call('DEL', ruling)
  for at = 1, #claims, 2 do
    redis.call('HSET', ruling, claims[at], claims[at + 1])
    redis.call('ZREM', former, claims[at])
  end
  redis.call('HSET', ruling, '@', numbers)
end

function steps.claim()
  if redis.call('EXISTS', ruling) == 0 then
    steps.take_over()
  end
end

function steps.forget()
  for at = 1, #claims, 2 do
    if redis.call('ZSCORE', former, claims[at]) == claims[at + 1] then
      redis.call('ZREM', former, claims[at])
    end
  end
end

function steps.ask()
end

function steps.list()
end

if not steps[step] or not whole(most_services, 1) or #claims % 2 ~= 0 then
  return redis.error_reply('BADARG the step is unknown, most_services is not an integer > 0, or a pool comes alone')
end
steps[step]()
return {
  redis.call('HGET', ruling, '@') or '',
  redis.call('ZRANGE', former, 0, -1, 'WITHSCORES'),
  step == 'list' and redis.call('HGETALL', ruling) or {},
}
