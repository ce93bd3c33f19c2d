#!lua flags=no-writes
-- pool_minutes -- what was kept of a pool in the last minutes.
--
-- KEYS[1]  minutes         hash    what pool_minute keeps by the minute
-- KEYS[2]  beat            hash    born_ms and lost_ms: since when Redis has counted, and lost calls; and more
-- KEYS[3]  minutes_prefix  prefix  of nothing, so that no node of a Cluster runs this while the slot is moved
-- ARGV[1]  back            how many minutes back, the one that runs included, integer >= 0
--
-- Writes    nothing
-- Includes  whole, ms, clock
--
-- Returns  {now, born_ms, lost_ms, minute, text, ...}: the server's time (ms); that when all counters were 0, and
--          that of the last loss, 0 for unknown and none; and each minute with what was kept of it, the oldest first;
--          one in which nobody kept anything is left out.
-- Errors   BADARG  back is not an integer >= 0.

local minutes, beat, minutes_prefix = KEYS[1], KEYS[2], KEYS[3]
local back = tonumber(ARGV[1])

if not include('whole')(back, 0) then
  return redis.error_reply('BADARG back must be an integer >= 0')
end

local ms = include('ms')
local now = include('clock')()
local since = redis.call('HMGET', beat, 'born_ms', 'lost_ms')
local reply = {now, tonumber(since[1] or 0), tonumber(since[2] or 0)}
if back == 0 or redis.call('EXISTS', minutes, minutes_prefix) == 0 then
  return reply
end

local this_minute = math.floor(now / 60000)
local fields = {}
for minute = this_minute - back + 1, this_minute do
  fields[#fields + 1] = ms(minute)
end
local kept = redis.call('HMGET', minutes, unpack(fields))
for at, field in ipairs(fields) do
  if kept[at] then
    reply[#reply + 1] = tonumber(field)
    reply[#reply + 1] = kept[at]
  end
end
return reply
