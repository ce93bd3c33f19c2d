-- expire_with_last -- lets a zset whose scores are times (ms) expire at the last of them.
--
-- Writes    zset

return function(zset)
  redis.call('PEXPIREAT', zset, string.format('%.0f', redis.call('ZRANGE', zset, -1, -1, 'WITHSCORES')[2]))
end
