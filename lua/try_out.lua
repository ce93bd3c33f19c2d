#!lua
-- try_out -- run each command that the scripts use once, on keys of its own, and tell which of them Redis refuses.
--
-- A command that is refused within a script stops it where it stands, after its first writes: a call would be taken
-- and its value lost. So this is found out beforehand, by what is refused here. No other script looks at these keys,
-- and none of them is left behind.
--
-- KEYS[1]  tried_zset    zset    written and deleted here
-- KEYS[2]  tried_hash    hash    the same
-- KEYS[3]  tried_string  string  the same
-- KEYS[4]  tried_list    list    the same
-- KEYS[5]  tried_prefix  prefix  of nothing, so that no node of a Cluster runs this while the slot is moved
-- ARGV[1]  left_ms       how long a key lives that may not be deleted, integer > 0
--
-- Writes    tried_zset, tried_hash, tried_string, tried_list
-- Includes  whole, ms
--
-- Returns  {how many commands were run, a command that is refused, what Redis says, another, ...}.
-- Errors   BADARG  left_ms is not an integer > 0.

local tried_zset, tried_hash, tried_string, tried_list, tried_prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local left_ms = tonumber(ARGV[1])

local whole = include('whole')

if not whole(left_ms, 1) then
  return redis.error_reply('BADARG left_ms must be an integer > 0')
end

local ms = include('ms')
local told = {0}

local function note(command, reply)
  told[1] = told[1] + 1
  local refused = type(reply) == 'table' and reply.err
  if refused then
    told[#told + 1] = command
    told[#told + 1] = refused
  end
  return not refused
end

note('TIME', redis.pcall('TIME'))
note('EXISTS', redis.pcall('EXISTS', tried_prefix))
note('INFO', redis.pcall('INFO', 'server'))
note('PTTL', redis.pcall('PTTL', tried_zset))
note('GET', redis.pcall('GET', tried_string))
note('HGET', redis.pcall('HGET', tried_hash, 'a'))
note('HMGET', redis.pcall('HMGET', tried_hash, 'a'))
note('HGETALL', redis.pcall('HGETALL', tried_hash))
note('HKEYS', redis.pcall('HKEYS', tried_hash))
note('LRANGE', redis.pcall('LRANGE', tried_list, 0, 0))
note('ZCARD', redis.pcall('ZCARD', tried_zset))
note('ZCOUNT', redis.pcall('ZCOUNT', tried_zset, 0, 1))
note('ZRANGE', redis.pcall('ZRANGE', tried_zset, 0, 1, 'REV'))
note('ZSCAN', redis.pcall('ZSCAN', tried_zset, 0))
note('ZSCORE', redis.pcall('ZSCORE', tried_zset, 'a'))

-- What ends a key is tried while there is none: without any of it nothing is written that would stay.
local ends = note('DEL', redis.pcall('DEL', tried_hash))
ends = note('UNLINK', redis.pcall('UNLINK', tried_zset)) or ends
ends = note('PEXPIRE', redis.pcall('PEXPIRE', tried_hash, ms(left_ms))) or ends
ends = note('PEXPIREAT', redis.pcall('PEXPIREAT', tried_zset, ms(left_ms))) or ends
if not ends then
  return told
end

note('SET', redis.pcall('SET', tried_string, '1', 'PX', ms(left_ms)))
note('HSET', redis.pcall('HSET', tried_hash, 'a', 1))
note('HSETNX', redis.pcall('HSETNX', tried_hash, 'b', 1))
note('HINCRBY', redis.pcall('HINCRBY', tried_hash, 'c', 1))
note('HDEL', redis.pcall('HDEL', tried_hash, 'd'))
note('LPUSH', redis.pcall('LPUSH', tried_list, 'a'))
note('LTRIM', redis.pcall('LTRIM', tried_list, 0, 0))
note('ZADD', redis.pcall('ZADD', tried_zset, 1, 'a'))
note('ZINCRBY', redis.pcall('ZINCRBY', tried_zset, 1, 'b'))
note('ZREM', redis.pcall('ZREM', tried_zset, 'c'))
note('ZREMRANGEBYSCORE', redis.pcall('ZREMRANGEBYSCORE', tried_zset, '-inf', 0))
redis.pcall('PEXPIRE', tried_hash, ms(left_ms))
redis.pcall('PEXPIRE', tried_zset, ms(left_ms))
redis.pcall('PEXPIRE', tried_list, ms(left_ms))
redis.pcall('DEL', tried_zset, tried_hash, tried_string, tried_list)
redis.pcall('UNLINK', tried_zset, tried_hash, tried_string, tried_list)
redis.pcall('PEXPIREAT', tried_zset, 1) -- long ago, which deletes it
redis.pcall('PEXPIREAT', tried_hash, 1)
redis.pcall('PEXPIREAT', tried_string, 1)
redis.pcall('PEXPIREAT', tried_list, 1)
return told
