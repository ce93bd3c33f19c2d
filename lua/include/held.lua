-- held -- what is kept of the call that was matched or, if none was, what the script replies.
--
-- held(grade, found, call, tally), the first two as match returns them and call the key of what it found, returns
-- {value, token, leased_ms, lessee, reply}; or nil and the reply: the time (ms) at which the call was taken, nil when
-- there is none, an error when more than one fits. The first and the last of
-- these are counted, with tally.
--
-- Writes    nothing

return function(grade, found, call, tally)
  if grade == 'ambiguous' then
    tally('ambiguous')
    return nil, redis.error_reply('AMBIGUOUS more than one live caller fits')
  end
  if grade == 'gone' then
    tally('gone')
  end
  if not grade or grade == 'gone' then
    return nil, found
  end
  return redis.call('HMGET', call, 'value', 'token', 'leased_ms', 'lessee', 'reply')
end
