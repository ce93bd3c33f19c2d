-- reap -- count the calls that ended before anybody asked for them, at most `step` at a time.
--
-- pending lists each call until somebody asks; unclaimed holds, for each number, how many of its calls in a row nobody
-- asked for, until eight days after the last. reap(pending, unclaimed, step, now, now_text), where now_text is now as
-- text, finds the ended calls, and fails on a key of the wrong type. It returns a function(tally, also) that counts
-- them and, beyond the step, the member `also` if that has ended.
--
-- Writes    pending, unclaimed

return function(pending, unclaimed, step, now, now_text)
  local ended = redis.call('ZRANGE', pending, '-inf', now_text, 'BYSCORE', 'LIMIT', 0, step)
  if ended[1] then
    redis.call('ZCARD', unclaimed)
  end
  return function(tally, also)
    local last = also and redis.call('ZSCORE', pending, also)
    if last and tonumber(last) <= now then
      ended[#ended + 1] = also
    end
    for _, member in ipairs(ended) do
      if redis.call('ZREM', pending, member) == 1 then
        tally('unclaimed', 1)
        redis.call('ZINCRBY', unclaimed, 1, member:match('^[^:]*'))
        redis.call('PEXPIREAT', unclaimed, string.format('%.0f', now + 691200000))
      end
    end
  end
end
