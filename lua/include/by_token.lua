-- by_token -- which call on a number a token names, whatever became of its ANI.
--
-- by_token(call_prefix, callers, gone_prefix, token, most_callers) returns 'uui' and the ANI of the live call; 'gone'
-- and the time (ms) at which it was taken, below 0: released, for as long as that is remembered; nil when there is
-- neither. A call that is live or is remembered is listed, those that end last first; of more than most_callers the
-- others are not looked at.
--
-- Writes    nothing

return function(call_prefix, callers, gone_prefix, token, most_callers)
  for _, caller in ipairs(redis.call('ZRANGE', callers, 0, most_callers - 1, 'REV')) do
    local held = redis.call('HGET', call_prefix .. caller, 'token')
    if held == token then
      return 'uui', caller
    end
    local gone = not held and redis.call('GET', gone_prefix .. caller)
    local at, over, told = (gone or ''):match('^(%d+) (%S+)(.*)$')
    if over == token then
      return 'gone', told == ' released' and -at or tonumber(at)
    end
  end
end
