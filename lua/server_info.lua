#!lua flags=no-writes
-- server_info -- what the server that has the services' keys says of itself.
--
-- KEYS[1]  services        zset    id of a service -> time (ms) at which it was started
-- KEYS[2]  service_prefix  prefix  of service:<id>, a hash for as long as it lives
-- ARGV[1]  most_services   most services that are looked at, integer > 0
--
-- Writes    nothing
-- Includes  whole, clock
--
-- Returns  {now, services, info}: the server's time (ms); how many services live; the sections of INFO that tell which
--          server it is, what it has in memory and whose replica it is, or '' from one that does not tell.
-- Errors   BADARG  most_services is not an integer > 0.

local services, service_prefix = KEYS[1], KEYS[2]
local most_services = tonumber(ARGV[1])

if not include('whole')(most_services, 1) then
  return redis.error_reply('BADARG most_services must be an integer > 0')
end

local live = 0
-- An error, where somebody else has written there, has no service in it: the server tells of itself all the same.
for _, service in ipairs(redis.pcall('ZRANGE', services, 0, most_services - 1, 'REV')) do
  live = live + redis.call('EXISTS', service_prefix .. service)
end
local told = {}
for _, section in ipairs({'server', 'memory', 'replication'}) do
  local text = redis.pcall('INFO', section)
  told[#told + 1] = type(text) == 'string' and text or ''
end
return {include('clock')(), live, table.concat(told, '\r\n')}
