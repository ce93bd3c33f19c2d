#!lua
-- service_look -- register a service for a while, and learn which of the living was started last: that one rules.
--
-- A service comes back with the start that it was given first, so the order of their starts outlives the loss of all
-- data, and a clock that is set back.
--
-- The data have the highest format that a service has told, and the highest least_reader. Nothing is written where this
-- service, or another that lives, knows less than that; one that tells no format is of a release that knew 1.
--
-- KEYS[1]   services        zset    id of a service -> time (ms) at which it was started
-- KEYS[2]   ruling          hash    pool -> fingerprint of the numbers it is to have; '@' -> the one of all of them
-- KEYS[3]   former          zset    pool that is no longer configured -> time (ms) since when
-- KEYS[4]   format          hash    of the data: format, least_reader, release; absent: both 1
-- KEYS[5]   service_prefix  prefix  of service:<id>, a hash for as long as it lives: numbers, rules, who, told, format,
--                                   and what service_ask and service_answer write: asked, answered, answer
-- ARGV[1]   service         its id, unique for ever
-- ARGV[2]   start_ms        when it was started, as it was told; 0 for one that is new; integer >= 0
-- ARGV[3]   live_ms         for how long it lives without another look, integer > 0
-- ARGV[4]   numbers         fingerprint of the numbers of all its pools
-- ARGV[5]   rules           fingerprint of all else in its pools
-- ARGV[6]   who             the service, in words
-- ARGV[7]   told            what it tells of itself to those who list the services; text, empty for nothing
-- ARGV[8]   most_services   most of them that are looked at, integer > 0
-- ARGV[9]   own_format      the format that it writes, and the highest it knows, integer > 0
-- ARGV[10]  least_reader    the least that a service beside it must know, integer > 0
-- ARGV[11]  release         of cticache that it is
--
-- Writes    services, format, service_prefix
-- Includes  whole, ms, format_numbers, clock
--
-- The keys of services are built here because the script finds the others by their ids.
--
-- Returns  {'registered', start, 1 if it was registered until now, else 0,
--          {id, numbers, rules, who, start of the one that rules}, what ruling has under '@' or '',
--          {former pool, since when, ...}, what service_ask asked last or ''}; {'newer', format, least_reader, release}
--          of data that it must not serve; {'older', format, who} of one that lives and must not serve beside it.
-- Errors   BADARG     a number in ARGV is not an integer in its range.
--          WRONGTYPE  format or least_reader of the data is no number of a format.

local services, ruling, former, format, service_prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local service, start_ms, live_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local numbers, rules, who, told, most_services = ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])
local own_format, least_reader, release = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11]

local whole = include('whole')

if not (whole(start_ms, 0) and whole(live_ms, 1) and whole(most_services, 1) and whole(own_format, 1)
  and whole(least_reader, 1)) then
  return redis.error_reply('BADARG start_ms, live_ms, most_services or a format is not an integer in its range')
end

local ms = include('ms')
local own = service_prefix .. service
local was_there = redis.call('EXISTS', own)
local known = redis.call('ZRANGE', services, 0, most_services - 1, 'REV', 'WITHSCORES')
local kept = redis.call('HMGET', format, 'format', 'least_reader', 'release')
local kept_format, kept_least = include('format_numbers')(kept)
if not kept_format then
  return kept_least -- the error
end
local least = math.max(kept_least, least_reader)

if own_format < kept_least then
  return {'newer', kept_format, kept_least, kept[3] or ''}
end
local gone = {}
for at = 1, #known, 2 do
  local its = redis.call('HMGET', service_prefix .. known[at], 'who', 'format')
  local knows = tonumber(its[2] or 1)
  if not its[1] then
    gone[#gone + 1] = known[at]
  elseif knows < least and known[at] ~= service then
    return {'older', knows, its[1]}
  end
end

if start_ms == 0 then
  -- Up to 2^53 a number is whole, and is the same when the service says it again; no service began beyond.
  start_ms = math.min(math.max(include('clock')(), (tonumber(known[2]) or 0) + 1), 9007199254740992)
end
for _, dead in ipairs(gone) do
  redis.call('ZREM', services, dead)
end
if not kept[1] or own_format > kept_format then
  redis.call('HSET', format, 'format', own_format, 'release', release)
end
if not kept[2] or least > kept_least then
  redis.call('HSET', format, 'least_reader', least)
end
redis.call('HSET', own, 'numbers', numbers, 'rules', rules, 'who', who, 'told', told, 'format', own_format)
redis.call('PEXPIRE', own, live_ms)
redis.call('ZADD', services, ms(start_ms), service)
redis.call('PEXPIRE', services, math.max(redis.call('PTTL', services), live_ms))

local last = redis.call('ZRANGE', services, 0, 0, 'REV', 'WITHSCORES')
local its = redis.call('HMGET', service_prefix .. last[1], 'numbers', 'rules', 'who')
return {
  'registered',
  start_ms,
  was_there,
  {last[1], its[1], its[2], its[3], tonumber(last[2])},
  redis.call('HGET', ruling, '@') or '',
  redis.call('ZRANGE', former, 0, -1, 'WITHSCORES'),
  redis.call('HGET', own, 'asked') or '',
}
