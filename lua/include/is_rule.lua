-- is_rule -- whether a word is one of the rules of match.
--
-- Writes    nothing

return function(word)
  return word == 'exact' or word == 'suffix' or word == 'sole'
end
