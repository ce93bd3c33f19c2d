-- tally -- counts what has been done with a pool, in total and by the hour; an hour is kept for eight days.
--
-- tally(stats, stats_prefix, now) returns a function(field, by, since), and another that keeps the highest `peak`. What
-- belongs to a lease is booked in the hour in which that lease began, at `since` (ms); all else in the hour that runs.
-- It reads both keys, so a script that makes its tally before its first write is stopped by a key of the wrong type.
--
-- A field that is no number, where somebody else has written, is left alone, and so is the key of another hour that is
-- of a wrong type: what is counted may have been done by then, and a caller's data does not hang on it.
--
-- tally(field) counts one in a script that has written nothing yet. The HDEL, which finds nothing, is for Redis 6.2: it
-- knows no flags, and a script may write to it when it is full only after a command that frees memory.
--
-- Writes    stats, stats_prefix

return function(stats, stats_prefix, now)
  local index = math.floor(now / 3600000)
  local hour = string.format('%s%.0f', stats_prefix, index)
  local peak, hour_peak = redis.call('HGET', stats, 'peak'), redis.call('HGET', hour, 'peak')
  local function count(field, by, since)
    if not by then
      redis.call('HDEL', stats, '')
      by = 1
    end
    local at = since and math.floor((tonumber(since) or now) / 3600000) or index
    local key = at ~= index and string.format('%s%.0f', stats_prefix, at) or hour
    local total, of_hour = redis.pcall('HINCRBY', stats, field, by), redis.pcall('HINCRBY', key, field, by)
    if of_hour == by then
      redis.call('PEXPIREAT', key, string.format('%.0f', (at + 193) * 3600000))
    end
    if type(total) == 'table' or type(of_hour) == 'table' then
      local wrong = type(total) == 'table' and total.err or of_hour.err
      if not (wrong:find('WRONGTYPE', 1, true) or wrong:find('not an integer', 1, true)
        or wrong:find('would overflow', 1, true)) then
        redis.call('HINCRBY', stats, field, by) -- which fails again, and ends the script: Redis is full, say
      end
    end
  end
  return count, function(seen)
    if seen > (tonumber(hour_peak) or 0) then
      redis.call('HSET', hour, 'peak', seen)
    end
    if seen > (tonumber(peak) or 0) then
      redis.call('HSET', stats, 'peak', seen)
    end
  end
end
