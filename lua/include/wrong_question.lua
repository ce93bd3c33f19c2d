-- wrong_question -- the error to reply where what match is to be asked is out of its range; nil where all is right.
--
-- Its checks are written out: made by calls of whole, they would show in what a read costs.
--
-- Writes    nothing

return function(rule, match_digits, most_callers)
  if not (match_digits and match_digits >= 1 and match_digits % 1 == 0
    and most_callers and most_callers >= 1 and most_callers % 1 == 0) then
    return redis.error_reply('BADARG match_digits and most_callers must be integers > 0')
  end
  if rule ~= 'exact' and rule ~= 'suffix' and rule ~= 'sole' then
    return redis.error_reply("BADARG rule must be 'exact', 'suffix' or 'sole'")
  end
end
