#!lua
-- pool_claim -- say which pools there are and which numbers each is to have, and learn who rules.
--
-- Services with different pools or numbers must not fight over them: the one that took over last rules, over all pools
-- in one atomic step. A service that finds anything but its own claims in the reply leaves every pool alone.
--
-- KEYS[1]     ruling  hash  pool -> fingerprint of the numbers it is to have; '' when it is no longer configured
-- ARGV[1]     step    'take_over' to rule from now on, 'claim' to rule if nobody does, 'forget' to drop what is claimed
-- ARGV[2...]  claims  pool, fingerprint, pool, fingerprint, ...
--
-- Writes    ruling
-- Includes  nothing
--
-- Returns  {pool, fingerprint, ...}, as they are valid from now on.
-- Errors   BADARG  the step is none of these, or a pool comes without a fingerprint.

local ruling = KEYS[1]
local step = ARGV[1]
local claims = {unpack(ARGV, 2)}

local steps = {}

function steps.take_over()
  local before = redis.call('HGETALL', ruling)
  for i = 1, #before, 2 do
    redis.call('HSET', ruling, before[i], '')
  end
  for i = 1, #claims, 2 do
    redis.call('HSET', ruling, claims[i], claims[i + 1])
  end
end

function steps.claim()
  if redis.call('EXISTS', ruling) == 0 then
    steps.take_over()
  end
end

function steps.forget()
  for i = 1, #claims, 2 do
    if redis.call('HGET', ruling, claims[i]) == claims[i + 1] then
      redis.call('HDEL', ruling, claims[i])
    end
  end
end

if not steps[step] or #claims % 2 ~= 0 then
  return redis.error_reply('BADARG the step is unknown, or a pool comes without a fingerprint')
end
steps[step]()
return redis.call('HGETALL', ruling)
