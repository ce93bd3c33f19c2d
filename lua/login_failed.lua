#!lua
-- login_failed -- count a wrong password, of its user and of where it came from.
--
-- There are more addresses than are to be counted in Redis, so they share a bounded number of buckets. What was counted
-- in a minute is kept until the next one is over.
--
-- KEYS[1]  failed         hash    user -> wrong passwords, ever
-- KEYS[2]  minute_prefix  prefix  of minute:<minute>, a hash: user, or @ and a bucket -> wrong passwords of one minute;
--                                 @addresses -> buckets that have any
-- ARGV[1]  user    name of the user; @unknown for all names that are no user's
-- ARGV[2]  bucket  that the address falls into, integer >= 0
--
-- Writes    failed, minute_prefix
-- Includes  whole, clock
--
-- Returns  {of the user, of the bucket}: wrong passwords in this minute and the one before.
-- Errors   BADARG  bucket is not an integer >= 0.

local failed, minute_prefix = KEYS[1], KEYS[2]
local user, bucket = ARGV[1], tonumber(ARGV[2])

if not include('whole')(bucket, 0) then
  return redis.error_reply('BADARG bucket must be an integer >= 0')
end

local minute = math.floor(include('clock')() / 60000)
local this = string.format('%s%.0f', minute_prefix, minute)
local before = string.format('%s%.0f', minute_prefix, minute - 1)
local address = string.format('@%.0f', bucket)
local ended = redis.call('HMGET', before, user, address)

redis.call('HINCRBY', failed, user, 1)
local of_user = redis.call('HINCRBY', this, user, 1)
local of_bucket = redis.call('HINCRBY', this, address, 1)
if of_bucket == 1 then
  redis.call('HINCRBY', this, '@addresses', 1)
end
redis.call('PEXPIREAT', this, string.format('%.0f', (minute + 2) * 60000))
return {of_user + (tonumber(ended[1]) or 0), of_bucket + (tonumber(ended[2]) or 0)}
