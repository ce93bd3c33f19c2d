-- from -- what stands in a list from one place on; unpack would fail on some thousands.
--
-- Writes    nothing

return function(list, first)
  local rest = {}
  for at = first, #list do
    rest[#rest + 1] = list[at]
  end
  return rest
end
