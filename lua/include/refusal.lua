-- refusal -- what a script replies where match found no live call, or more than one.
--
-- refusal(grade, found, tally), the first two as match returns them, returns the time (ms) at which the call was taken,
-- below 0 where it was released; nil when there is none, an error when more than one fits. The first and the last are
-- counted, with tally.
--
-- Writes    nothing

return function(grade, found, tally)
  if grade == 'ambiguous' then
    tally('ambiguous')
    return redis.error_reply('AMBIGUOUS more than one live caller fits')
  end
  if grade == 'gone' then
    tally('gone')
  end
  return found
end
