-- match -- which live call on a number an ANI means.
--
-- exact      the call under this ANI itself
-- suffix     the one live caller whose last digits agree; both have that many, so neither is withheld
-- sole       the only live caller on the number, whatever the ANI says
-- gone       no call under this ANI is live, and one was taken or released a moment ago
-- ambiguous  more than one live caller fits, and nothing is guessed
--
-- The plus of an ANI is no digit, though it is counted: a tail that reaches it is the whole ANI, and nobody else's.
--
-- A rule includes the grades before it; 'none' has no grade. Gone comes before suffix and sole: a repeated take must
-- not find the call that came after its own.
--
-- match(call_prefix, callers, gone_prefix, ani, rule, digits, most_callers, now) returns the grade, and the ANI of the
-- call (for gone: the time in ms at which it was taken, below 0: released); nil when nothing fits.
--
-- Writes    nothing

return function(call_prefix, callers, gone_prefix, ani, rule, digits, most_callers, now)
  if rule == 'none' then
    return nil
  end
  local exact = redis.call('EXISTS', call_prefix .. ani) == 1
  local others, other, tails, tail = 0, nil, 0, nil -- how many, and the first of them
  if rule ~= 'exact' then
    local listed = redis.call('ZRANGE', callers, string.format('(%.0f', now), '+inf', 'BYSCORE',
      'LIMIT', 0, most_callers + 1)
    if #listed > most_callers then
      return 'ambiguous'
    end
    for _, caller in ipairs(listed) do
      if caller ~= ani and redis.call('EXISTS', call_prefix .. caller) == 1 then
        others, other = others + 1, other or caller
        if #ani >= digits and #caller >= digits and caller:sub(-digits) == ani:sub(-digits) then
          tails, tail = tails + 1, tail or caller
        end
      end
    end
  end

  if exact then
    return tails == 0 and 'exact' or 'ambiguous', ani
  end
  local gone = redis.call('GET', gone_prefix .. ani)
  if gone then
    local at = tonumber(gone:match('^%d+')) -- the token of the call comes after it
    return 'gone', gone:find(' released', 1, true) and -at or at
  end
  if tails > 0 then
    return tails == 1 and 'suffix' or 'ambiguous', tail
  end
  if rule == 'sole' and others > 0 then
    return others == 1 and 'sole' or 'ambiguous', other
  end
  return nil
end
