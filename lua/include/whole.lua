-- whole -- whether a number is an integer not below the least allowed; nil is not.
--
-- Writes    nothing

return function(number, least)
  return number and number >= least and number % 1 == 0
end
