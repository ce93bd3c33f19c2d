#!lua flags=no-writes
-- events -- what happened lately to the services on this Redis, the newest first.
--
-- KEYS[1]  events         list    what happened, as text, the newest first
-- KEYS[2]  events_prefix  prefix  of nothing, so that no node of a Cluster runs this while the slot is moved
-- ARGV[1]  most           how many are told at most, integer > 0
--
-- Writes    nothing
-- Includes  whole
--
-- Returns  {text, ...}.
-- Errors   BADARG  most is not an integer > 0.

local events, events_prefix = KEYS[1], KEYS[2] -- luacheck: ignore events_prefix
local most = tonumber(ARGV[1])

local whole = include('whole')

if not whole(most, 1) then
  return redis.error_reply('BADARG most must be an integer > 0')
end

return redis.call('LRANGE', events, 0, most - 1)
