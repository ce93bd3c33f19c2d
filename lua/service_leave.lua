#!lua flags=allow-oom
-- service_leave -- take a service that ends from those that live, so that it rules no longer.
--
-- KEYS[1]  services        zset    id of a service -> time (ms) at which it was started
-- KEYS[2]  service_prefix  prefix  of service:<id>, a hash for as long as it lives: numbers, rules, who, told, format
-- ARGV[1]  service         its id
--
-- Writes    services, service_prefix
-- Includes  nothing
--
-- Returns  1 if it was registered, else 0.

local services, service_prefix = KEYS[1], KEYS[2]
local service = ARGV[1]

redis.call('DEL', service_prefix .. service)
return redis.call('ZREM', services, service)
