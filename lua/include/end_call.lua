-- end_call -- end a live call before its time: its value goes, its number rests, and nothing more is expected of it.
--
-- The ANI stays listed among the number's callers, with now as its end, until the pair's rest has passed: until then
-- lease puts no call on the number that could be confused with this one. Whoever `asked` under another ANI rests with
-- the number, too. `told` is remembered after the call's token.
--
-- end_call(keys.., dnis, found, held, stay, rest_ms, pair_rest_ms, gone_ms, now, now_text, asked, told) reads, and
-- fails on a key of the wrong type; held is {_, token, leased_ms, lessee, reply} of the call of the ANI `found`, and
-- stay what ends returns for the others. It returns a function that does it, and the ms that were left to the call;
-- that function returns whether nobody had asked for the call. The DEL comes first for Redis 6.2: take must run when it
-- is full.
--
-- Writes    numbers, shared, pending, callers, call_prefix, gone_prefix, live_prefix, reply_prefix

return function(numbers, shared, pending, callers, call_prefix, gone_prefix, live_prefix, reply_prefix, dnis, found,
  held, stay, rest_ms, pair_rest_ms, gone_ms, now, now_text, asked, told)
  local call, member = call_prefix .. found, dnis .. ':' .. found
  local live = live_prefix .. held[4]
  local left = math.max(redis.call('PTTL', call), 0)
  local was_shared = redis.call('ZSCORE', shared, dnis)
  local was_pending = redis.call('ZSCORE', pending, member)
  redis.call('ZCARD', live)
  redis.call('ZCARD', numbers)
  local reply_key = held[5] and reply_prefix .. held[5]
  local is_kept = reply_key and redis.call('HGET', reply_key, 'token') == held[2]
  local last_end = stay[1] or now
  local over = now_text .. ' ' .. held[2] .. told

  return function()
    redis.call('DEL', call)
    redis.call('SET', gone_prefix .. found, over, 'PX', string.format('%.0f', gone_ms))
    if asked ~= found then
      redis.call('SET', gone_prefix .. asked, over, 'PX', string.format('%.0f', gone_ms))
      redis.call('ZADD', callers, now_text, asked)
    end
    redis.call('ZADD', callers, 'XX', now_text, found)
    redis.call('PEXPIREAT', callers, string.format('%.0f', last_end + pair_rest_ms))
    redis.call('ZADD', numbers, 'XX', string.format('%.0f', last_end + rest_ms), dnis)
    if was_shared and stay[2] then
      redis.call('ZADD', shared, 'XX', string.format('%.0f', stay[2]), dnis)
    elseif was_shared then
      redis.call('ZREM', shared, dnis)
    end
    redis.call('ZREM', live, member)
    if is_kept then
      redis.call('HSET', reply_key, 'over_ms', now_text)
    end
    if was_pending then
      redis.call('ZREM', pending, member)
    end
    return was_pending
  end, left
end
