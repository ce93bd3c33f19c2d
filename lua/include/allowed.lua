-- allowed -- the rule by which an ANI may be matched now, while what Redis held before may be missing or out of date.
--
-- While `lost` is there, a call may have been leased on the number of one that was lost; that one's caller must not be
-- given it by a tail. Where an older state was restored ('older'), what it holds may be over and its number another's:
-- only an ANI of its own finds a call, and a withheld caller ('none') nothing. For a whole ANI under the rule exact the
-- scripts do not ask: that is allowed always, and asking would show in what it costs.
--
-- Writes    nothing

return function(lost, rule, ani)
  local told = redis.call('GET', lost)
  if told == 'older' then
    return ani == '' and 'none' or 'exact'
  end
  return told and rule == 'suffix' and 'exact' or rule
end
