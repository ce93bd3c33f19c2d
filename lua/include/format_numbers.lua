-- format_numbers -- the format of the data and its least_reader, of a hash with what service_look keeps.
--
-- format_numbers(kept), of the values of both, false for a missing one, which is 1. It returns the two numbers, or the
-- error to reply where one is none: somebody else has put it there.
--
-- Writes    nothing

return function(kept)
  local numbers = {}
  for at = 1, 2 do
    local number = tonumber(kept[at] or 1)
    if not (number and number >= 1 and number <= 1000000 and number % 1 == 0) then
      return nil, redis.error_reply('WRONGTYPE the format of the data is no number of a format')
    end
    numbers[at] = number
  end
  return numbers[1], numbers[2]
end
