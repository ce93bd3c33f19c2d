-- tally -- counts what has been done with a pool, in all and by the hour; an hour is kept for eight days.
--
-- tally(stats, stats_prefix, now) returns a function(field, by) and the key of this hour. It reads both keys, so that
-- one of a wrong type stops a script that makes its tally before it writes anything.

return function(stats, stats_prefix, now)
  local index = math.floor(now / 3600000)
  local hour = string.format('%s%.0f', stats_prefix, index)
  redis.call('HEXISTS', stats, 'leased')
  redis.call('HEXISTS', hour, 'leased')
  return function(field, by)
    redis.call('HINCRBY', stats, field, by)
    if redis.call('HINCRBY', hour, field, by) == by then
      redis.call('PEXPIREAT', hour, string.format('%.0f', (index + 193) * 3600000))
    end
  end, hour
end
