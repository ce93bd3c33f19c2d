#!lua
-- service_ask -- ask all services that live to read their configuration again; they see it at their next look.
--
-- KEYS[1]  services        zset    id of a service -> time (ms) at which it was started
-- KEYS[2]  service_prefix  prefix  of service:<id>, a hash for as long as it lives: .., asked, answered, answer
-- ARGV[1]  asked           tells this question from others, unique
-- ARGV[2]  most_services   most of them that are asked, integer > 0
--
-- Writes    service_prefix
-- Includes  whole
--
-- The keys of services are built here because the script finds them by their ids.
--
-- Returns  {id, who, another id, ...} of those that are asked.
-- Errors   BADARG  most_services is not an integer > 0.

local services, service_prefix = KEYS[1], KEYS[2]
local asked, most_services = ARGV[1], tonumber(ARGV[2])

local whole = include('whole')

if not whole(most_services, 1) then
  return redis.error_reply('BADARG most_services must be an integer > 0')
end

local reply = {}
for _, service in ipairs(redis.call('ZRANGE', services, 0, most_services - 1, 'REV')) do
  local own = service_prefix .. service
  local who = redis.call('HGET', own, 'who')
  if who then
    redis.call('HSET', own, 'asked', asked)
    reply[#reply + 1] = service
    reply[#reply + 1] = who
  end
end
return reply
