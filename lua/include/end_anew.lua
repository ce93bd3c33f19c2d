-- end_anew -- sets the time (ms) at which a member of a zset of such times ends anew.
--
-- What is over goes; what is not listed stays out. The zset expires at the last of its times.
--
-- Writes    zset

return function(zset, member, until_ms, now)
  if not redis.call('ZSCORE', zset, member) then
    return
  end
  if until_ms > now then
    redis.call('ZADD', zset, 'XX', string.format('%.0f', until_ms), member)
  else
    redis.call('ZREM', zset, member)
  end
  local last = redis.call('ZRANGE', zset, -1, -1, 'WITHSCORES')[2]
  if last then
    redis.call('PEXPIREAT', zset, string.format('%.0f', last))
  end
end
