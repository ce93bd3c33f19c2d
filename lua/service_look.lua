#!lua
-- service_look -- register a service for a while, and learn which of the living was started last: that one rules.
--
-- A service comes back with the start that it was given first, so the order of their starts outlives the loss of all
-- data, and a clock that is set back.
--
-- KEYS[1]  services        zset    id of a service -> time (ms) at which it was started
-- KEYS[2]  ruling          hash    pool -> fingerprint of the numbers it is to have; '@' -> the one of all of them
-- KEYS[3]  former          zset    pool that is no longer configured -> time (ms) since when
-- KEYS[4]  service_prefix  prefix  of service:<id>, a hash for as long as it lives: numbers, rules, who, told,
--                                  and what service_ask and service_answer write: asked, answered, answer
-- ARGV[1]  service         its id, unique for ever
-- ARGV[2]  start_ms        when it was started, as it was told; 0 for one that is new; integer >= 0
-- ARGV[3]  live_ms         for how long it lives without another look, integer > 0
-- ARGV[4]  numbers         fingerprint of the numbers of all its pools
-- ARGV[5]  rules           fingerprint of all else in its pools
-- ARGV[6]  who             the service, in words
-- ARGV[7]  told            what it tells of itself to those who list the services; text, empty for nothing
-- ARGV[8]  most_services   most of them that are looked at, integer > 0
--
-- Writes    services, service_prefix
-- Includes  whole, ms, clock
--
-- The keys of services are built here because the script finds the others by their ids.
--
-- Returns  {start, 1 if it was registered until now, else 0, {id, numbers, rules, who, start of the one that rules},
--          what ruling has under '@' or '', {former pool, since when, ...}, what service_ask asked last or ''}.
-- Errors   BADARG  a number in ARGV is not an integer in its range.

local services, ruling, former, service_prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local service, start_ms, live_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local numbers, rules, who, told, most_services = ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])

local whole = include('whole')

if not (whole(start_ms, 0) and whole(live_ms, 1) and whole(most_services, 1)) then
  return redis.error_reply('BADARG start_ms, live_ms and most_services must be integers in range')
end

local ms = include('ms')
local own = service_prefix .. service
local was_there = redis.call('EXISTS', own)
local known = redis.call('ZRANGE', services, 0, most_services - 1, 'REV', 'WITHSCORES')

if start_ms == 0 then
  start_ms = math.max(include('clock')(), (tonumber(known[2]) or 0) + 1)
end
for at = 1, #known, 2 do
  if redis.call('EXISTS', service_prefix .. known[at]) == 0 then
    redis.call('ZREM', services, known[at])
  end
end
redis.call('HSET', own, 'numbers', numbers, 'rules', rules, 'who', who, 'told', told)
redis.call('PEXPIRE', own, live_ms)
redis.call('ZADD', services, ms(start_ms), service)
redis.call('PEXPIRE', services, math.max(redis.call('PTTL', services), live_ms))

local last = redis.call('ZRANGE', services, 0, 0, 'REV', 'WITHSCORES')
local its = redis.call('HMGET', service_prefix .. last[1], 'numbers', 'rules', 'who')
return {
  start_ms,
  was_there,
  {last[1], its[1], its[2], its[3], tonumber(last[2])},
  redis.call('HGET', ruling, '@') or '',
  redis.call('ZRANGE', former, 0, -1, 'WITHSCORES'),
  redis.call('HGET', own, 'asked') or '',
}
