-- miss -- count a question that found nothing and, once for each call, that it was asked for under another ANI.
--
-- miss(tally, presented, ani, kind, call), the last two as near finds them: how the ANI differs from that of the call
-- nobody has asked for, and the call's key; nil without such a call. An ANI that is unlike the call's is `constant` if
-- it was presented for the call before, too. Only that ANI is kept, so nothing grows with those who ask.
--
-- Writes    presented, call

return function(tally, presented, ani, kind, call)
  local before = kind == 'unlike' and redis.call('GET', presented)
  tally('missed')
  if kind and redis.call('HSETNX', call, 'other', 1) == 1 then
    if kind == 'unlike' then
      redis.call('SET', presented, ani, 'PX', 3600000)
      kind = before == ani and 'constant' or kind
    end
    tally('other_live', 1)
    tally('other_' .. kind, 1)
  end
end
