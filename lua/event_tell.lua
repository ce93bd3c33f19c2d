#!lua
-- event_tell -- add what happened to the list that the services on this Redis keep together.
--
-- KEYS[1]     events         list    what happened, as text, the newest first
-- KEYS[2]     events_prefix  prefix  of nothing, so that no node of a Cluster runs this while the slot is moved
-- ARGV[1]     most           how many are kept, integer > 0
-- ARGV[2]     keep_ms        how long all of them are kept after the last, integer > 0
-- ARGV[3...]  told           each of them as text, the oldest first
--
-- Writes    events
-- Includes  from, whole, ms
--
-- Returns  how many were added.
-- Errors   BADARG  most or keep_ms is not an integer > 0, or there are none to add, or more than are kept.

local events, events_prefix = KEYS[1], KEYS[2] -- luacheck: ignore events_prefix
local most, keep_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local told = include('from')(ARGV, 3)

local whole, ms = include('whole'), include('ms')

if not (whole(most, 1) and whole(keep_ms, 1)) or #told < 1 or #told > most then
  return redis.error_reply('BADARG most and keep_ms must be integers > 0, and told 1 to most texts')
end

for _, each in ipairs(told) do
  redis.call('LPUSH', events, each)
end
redis.call('LTRIM', events, 0, most - 1)
redis.call('PEXPIRE', events, ms(keep_ms))
return #told
