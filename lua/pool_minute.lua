#!lua
-- pool_minute -- keep what has been done with a pool by now, once a minute whoever asks for it.
--
-- What was done in a minute is the difference between two that are kept, so neither a lease nor a take counts by the
-- minute. A last one that is to come shows that the clock was set back: then all begins anew, for a difference across
-- that would be of any time. If it is the next minute nothing is done, for a clock may be put right by a moment.
--
-- Beside the counts stands how many kinds there are: a counter that is not there is 0, or unknown to another version.
--
-- KEYS[1]  numbers         zset    DNIS -> time (ms) from which it may be leased again
-- KEYS[2]  stats           hash    counters
-- KEYS[3]  minutes         hash    minute since 1970 -> ms past it, size, free, leased, kinds, counter=count, ..; last
-- KEYS[4]  minutes_prefix  prefix  of nothing, so that no node of a Cluster runs this while the slot is moved
-- ARGV[1]  rest_ms         rest of a number after its last call, integer >= 0
-- ARGV[2]  most_kept       minutes kept, the one that runs included, integer > 0
-- ARGV[3...]  counters     names of those that are kept, at least one
--
-- Writes    minutes
-- Includes  from, whole, ms, clock
--
-- Returns  1 when it is kept now; 0 when somebody has kept this minute before.
-- Errors   BADARG     a number in ARGV is not an integer in its range.
--          WRONGTYPE  a counter in stats is no whole number: kept, it could not be read for as long as the minutes are.

local numbers, stats, minutes, minutes_prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local rest_ms, most_kept = tonumber(ARGV[1]), tonumber(ARGV[2])
local counters = include('from')(ARGV, 3)

local whole = include('whole')

if not (whole(rest_ms, 0) and whole(most_kept, 1)) then
  return redis.error_reply('BADARG rest_ms and most_kept must be integers in range')
end

local ms = include('ms')
local now = include('clock')()
local minute = math.floor(now / 60000)

local last = redis.call('EXISTS', minutes, minutes_prefix) > 0 and tonumber(redis.call('HGET', minutes, 'last'))
if last == minute or last == minute + 1 then
  return 0
end

local size = redis.call('ZCARD', numbers)
local busy = redis.call('ZCOUNT', numbers, '(' .. ms(now), '+inf')
local leased = redis.call('ZCOUNT', numbers, '(' .. ms(now + rest_ms), '+inf')
local counts = redis.call('HMGET', stats, unpack(counters))

local text = {ms(now % 60000), ms(size), ms(size - busy), ms(leased), ms(#counters)}
for at, counter in ipairs(counters) do
  if counts[at] then
    if not counts[at]:find('^%-?%d+$') then
      return redis.error_reply('WRONGTYPE a counter of the pool is no whole number')
    end
    text[#text + 1] = counter .. '=' .. counts[at]
  end
end

if not last or last > minute or minute - last >= most_kept then
  redis.call('DEL', minutes)
else
  for past = last - most_kept + 1, minute - most_kept do
    redis.call('HDEL', minutes, ms(past))
  end
end
redis.call('HSET', minutes, ms(minute), table.concat(text, ' '), 'last', ms(minute))
redis.call('PEXPIRE', minutes, 7200000)
return 1
