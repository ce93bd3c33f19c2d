-- ms -- whole milliseconds as text; Lua itself would write a time as 1.7e+12.
--
-- It costs as much as a command, so a script that needs a time more than once keeps its text.
--
-- Writes    nothing

return function(number)
  return string.format('%.0f', number)
end
