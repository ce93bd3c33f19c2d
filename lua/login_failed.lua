#!lua
-- login_failed -- count wrong passwords, of their user and of where they came from.
--
-- Those that were known to be wrong are counted apart: who sends one password over and over guesses no more than once.
--
-- There are more addresses than are to be counted in Redis, so they share a bounded number of buckets. What was counted
-- in a minute is kept until the next one is over.
--
-- KEYS[1]  failed         hash    user -> wrong passwords, ever; those that were known to be wrong too
-- KEYS[2]  minute_prefix  prefix  of minute:<minute>, a hash: user, or @ and a bucket -> wrong passwords of one minute
--                                 that were checked; @addresses -> buckets that wrong passwords came from
-- ARGV[1]  user    name of the user; @unknown for all names that are no user's
-- ARGV[2]  bucket  that the address falls into, integer >= 0
-- ARGV[3]  again   0: one password, which was checked; else so many that were known to be wrong, integer
--
-- Writes    failed, minute_prefix
-- Includes  whole, clock
--
-- Returns  {of the user, of the bucket}: wrong passwords that were checked in this minute and the one before.
-- Errors   BADARG  bucket or again is not an integer >= 0.

local failed, minute_prefix = KEYS[1], KEYS[2]
local user, bucket, again = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local whole = include('whole')

if not whole(bucket, 0) or not whole(again, 0) then
  return redis.error_reply('BADARG bucket and again must be integers >= 0')
end

local minute = math.floor(include('clock')() / 60000)
local this = string.format('%s%.0f', minute_prefix, minute)
local before = string.format('%s%.0f', minute_prefix, minute - 1)
local address = string.format('@%.0f', bucket)
local ended = redis.call('HMGET', before, user, address)

local checked = again == 0 and 1 or 0
redis.call('HINCRBY', failed, user, checked + again)
if redis.call('HSETNX', this, address, 0) == 1 then
  redis.call('HINCRBY', this, '@addresses', 1)
end
local of_user = redis.call('HINCRBY', this, user, checked)
local of_bucket = redis.call('HINCRBY', this, address, checked)
redis.call('PEXPIREAT', this, string.format('%.0f', (minute + 2) * 60000))
return {of_user + (tonumber(ended[1]) or 0), of_bucket + (tonumber(ended[2]) or 0)}
