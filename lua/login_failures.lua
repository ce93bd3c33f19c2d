#!lua flags=no-writes
-- login_failures -- how many wrong passwords there have been, by user, and from how many addresses lately.
--
-- KEYS[1]  failed         hash    user -> wrong passwords, ever
-- KEYS[2]  minute_prefix  prefix  of minute:<minute>, a hash: what login_failed counts by the minute
--
-- Writes    nothing
-- Includes  clock
--
-- Returns  {addresses, user, count, ...}: addresses of this minute or the one before, whichever are more, at most as
--          many as they have buckets; the user @unknown stands for all names that are no user's.

local failed, minute_prefix = KEYS[1], KEYS[2]

local minute = math.floor(include('clock')() / 60000)
local this = redis.call('HGET', string.format('%s%.0f', minute_prefix, minute), '@addresses')
local before = redis.call('HGET', string.format('%s%.0f', minute_prefix, minute - 1), '@addresses')
local reply = {math.max(tonumber(this or 0), tonumber(before or 0))}
for _, item in ipairs(redis.call('HGETALL', failed)) do
  reply[#reply + 1] = item
end
return reply
