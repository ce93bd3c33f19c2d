#!lua flags=no-writes
-- services -- the services that live, the one that was started last first, with what each tells of itself.
--
-- KEYS[1]  services        zset    id of a service -> time (ms) at which it was started
-- KEYS[2]  service_prefix  prefix  of service:<id>, a hash for as long as it lives: numbers, rules, who, told, format
-- ARGV[1]  most_services   most of them that are looked at, integer > 0
--
-- Writes    nothing
-- Includes  whole
--
-- The keys of services are built here because the script finds them by their ids.
--
-- Returns  {id, start_ms as text, fingerprint of its numbers, of its rules, who, what it tells, for how many ms it
--          lives without another look, another id, ...}; one of an older release tells nothing.
-- Errors   BADARG  most_services is not an integer > 0.

local services, service_prefix = KEYS[1], KEYS[2]
local most_services = tonumber(ARGV[1])

local whole = include('whole')

if not whole(most_services, 1) then
  return redis.error_reply('BADARG most_services must be an integer > 0')
end

local reply = {}
local known = redis.call('ZRANGE', services, 0, most_services - 1, 'REV', 'WITHSCORES')
for at = 1, #known, 2 do
  local own = service_prefix .. known[at]
  local left_ms = redis.call('PTTL', own)
  if left_ms > 0 then
    reply[#reply + 1] = known[at]
    reply[#reply + 1] = known[at + 1]
    for _, field in ipairs({'numbers', 'rules', 'who', 'told'}) do
      reply[#reply + 1] = redis.call('HGET', own, field) or ''
    end
    reply[#reply + 1] = left_ms
  end
end
return reply
