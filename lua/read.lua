#!lua flags=no-writes
-- read -- the value of one call, left in place.
--
-- KEYS[1]  call  hash  value, token, leased_ms, lessee
--
-- Returns  {value, token}; nil when nothing is live under this key.

local call = KEYS[1]

local held = redis.call('HMGET', call, 'value', 'token')
if not held[1] or not held[2] then
  return nil
end
return held
