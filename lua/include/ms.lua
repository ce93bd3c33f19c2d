-- ms -- whole milliseconds as text; Lua itself would write a time as 1.7e+12.
--
-- Writes    nothing

return function(number)
  return string.format('%.0f', number)
end
