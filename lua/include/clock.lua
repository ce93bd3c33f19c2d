-- clock -- the server's time in whole milliseconds since 1970.
--
-- Writes    nothing

return function()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
