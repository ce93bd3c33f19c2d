-- ends -- the times (ms) at which the live calls on a number end, the latest first, without that of the ANI `except`.
--
-- ends(callers, call_prefix, except, most_callers, now_text) takes the time in ms as text. A listed caller whose
-- call key is gone is not live. Of more than most_callers, those that end last are looked at.
--
-- Writes    nothing

return function(callers, call_prefix, except, most_callers, now_text)
  local found = {}
  local listed = redis.call('ZRANGE', callers, '+inf', '(' .. now_text, 'BYSCORE', 'REV',
    'LIMIT', 0, most_callers, 'WITHSCORES')
  for i = 1, #listed, 2 do
    if listed[i] ~= except and redis.call('EXISTS', call_prefix .. listed[i]) == 1 then
      found[#found + 1] = tonumber(listed[i + 1])
    end
  end
  return found
end
