-- keep_until -- lets a zset of times (ms) live until one of them at least, and a minute more.
--
-- So it is seldom that the end of a key which gets a later time with every call must be set anew; what is over by then
-- is dropped.
--
-- Writes    zset

return function(zset, until_ms, now)
  if redis.call('PTTL', zset) >= until_ms - now then
    return
  end
  redis.call('ZREMRANGEBYSCORE', zset, '-inf', string.format('%.0f', now))
  redis.call('PEXPIREAT', zset, string.format('%.0f', until_ms + 60000))
end
