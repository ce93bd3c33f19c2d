#!lua flags=no-writes
-- service_answers -- what the services have answered by now that were asked to read their configuration again.
--
-- KEYS[1]  services        zset    id of a service -> time (ms) at which it was started
-- KEYS[2]  service_prefix  prefix  of service:<id>, a hash for as long as it lives: .., asked, answered, answer
-- ARGV[1]  asked           the question
-- ARGV[2]  most_services   most services that are looked at, integer > 0
--
-- Writes    nothing
-- Includes  whole
--
-- The keys of services are built here because the script finds them by their ids.
--
-- Returns  {id, answer, another id, ...} of those that live and have not been asked again since; '' for no answer yet.
-- Errors   BADARG  most_services is not an integer > 0.

local services, service_prefix = KEYS[1], KEYS[2]
local asked, most_services = ARGV[1], tonumber(ARGV[2])

local whole = include('whole')

if not whole(most_services, 1) then
  return redis.error_reply('BADARG most_services must be an integer > 0')
end

local reply = {}
for _, service in ipairs(redis.call('ZRANGE', services, 0, most_services - 1, 'REV')) do
  local its = redis.call('HMGET', service_prefix .. service, 'asked', 'answered', 'answer')
  if its[1] == asked or its[2] == asked then
    reply[#reply + 1] = service
    reply[#reply + 1] = its[2] == asked and its[3] or ''
  end
end
return reply
