#!lua flags=no-writes
-- pool_hours -- what has been done with a pool in each of the last hours.
--
-- KEYS[1]  stats         hash    counters
-- KEYS[2]  stats_prefix  prefix  of stats:<hour>, a hash: the counters of one hour; the script finds the hours
-- ARGV[1]  hours         how many hours back, the one that runs included, integer > 0
-- ARGV[2]  skip          how many of them are left out, the latest, integer >= 0
--
-- Writes    nothing
-- Includes  whole, clock
--
-- Returns  {hour, n, counter, count, ... (n of these pairs), hour, n, ...}, the oldest first; hours count from 1970,
--          and one in which nothing was done is left out.
-- Errors   BADARG  hours is not an integer > 0, or skip not one >= 0.

local stats, stats_prefix = KEYS[1], KEYS[2]
local hours, skip = tonumber(ARGV[1]), tonumber(ARGV[2])

local whole = include('whole')

if not (whole(hours, 1) and whole(skip, 0)) then
  return redis.error_reply('BADARG hours and skip must be integers in range')
end

if redis.call('EXISTS', stats) == 0 then
  return {}
end

local this_hour = math.floor(include('clock')() / 3600000)
local reply = {}
for hour = this_hour - hours + 1, this_hour - skip do
  local counters = redis.call('HGETALL', string.format('%s%.0f', stats_prefix, hour))
  if #counters > 0 then
    reply[#reply + 1] = hour
    reply[#reply + 1] = #counters / 2
    for _, item in ipairs(counters) do
      reply[#reply + 1] = item
    end
  end
end
return reply
