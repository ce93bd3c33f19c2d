-- near -- which live call on a number is most like the ANI that found none, and how the two ANI differ.
--
-- more      the ANI presented has digits before the other, and then all of the other's
-- less      the other way round
-- tail      the last digits of both agree
-- withheld  one of them is withheld
-- unlike    none of these
--
-- The digits that agree must be as many as match_digits, but seven of them will do: two callers in ten million have
-- these in common by chance. The kinds stand in the order in which a call is preferred.
--
-- near(callers, call_prefix, ani, match_digits, pending, dnis) returns the kind and the ANI of the call, nil when none
-- is live. With pending and dnis, only the calls that nobody has asked for count. It looks at the four that end
-- last: there is one, unless the number is shared; and then a call that is on its way is among the latest. The
-- ANI's own call, which is not found while Redis may have lost calls, is no other.
--
-- Writes    nothing

return function(callers, call_prefix, ani, match_digits, pending, dnis)
  local presented, tail = ani:match('%d*$'), math.min(match_digits, 7)
  local found = {}
  for _, caller in ipairs(redis.call('ZRANGE', callers, 0, 3, 'REV')) do
    local is_open = not pending or redis.call('ZSCORE', pending, dnis .. ':' .. caller)
    if caller ~= ani and is_open and redis.call('EXISTS', call_prefix .. caller) == 1 then
      local kept, kind = caller:match('%d*$'), 'unlike'
      local common = math.min(#presented, #kept)
      if common == 0 then
        kind = 'withheld'
      elseif common >= tail and presented:sub(-tail) == kept:sub(-tail) then
        local is_whole = #presented ~= #kept and presented:sub(-common) == kept:sub(-common)
        kind = not is_whole and 'tail' or #presented > #kept and 'more' or 'less'
      end
      found[kind] = found[kind] or caller
    end
  end
  for _, kind in ipairs({'more', 'less', 'tail', 'withheld', 'unlike'}) do
    if found[kind] then
      return kind, found[kind]
    end
  end
end
