#!lua
-- pool_rescore -- after the clock was set back, set the times that lie ahead anew, in bounded steps.
--
-- A time to come is right where a live call says so: a call leased at a time that has not come yet keeps its length,
-- from now on; one leased before keeps its end. A call that is over was over by now at the latest. A number rests from
-- the last end of its calls, and waits for those that other pools have on it.
--
-- KEYS[1]  numbers         zset    DNIS -> time (ms) from which it may be leased again
-- KEYS[2]  shared          zset    DNIS -> time (ms) until which it has more than one live caller
-- KEYS[3]  leaving         zset    DNIS not in numbers -> time (ms) until which its calls may be asked for
-- KEYS[4]  promised        zset    DNIS -> time (ms) from which another pool was told that it may lease it
-- KEYS[5]  pending         zset    dnis:ani -> time (ms) at which it ends, until somebody asks for it
-- KEYS[6]  callers_prefix  prefix  of callers:<dnis>, a zset: ANI -> time (ms) at which its lease ends
-- KEYS[7]  call_prefix     prefix  of call:<dnis>:<ani>, a hash: value, token, leased_ms, lessee, reply
-- KEYS[8]  gone_prefix     prefix  of gone:<dnis>:<ani>, a string: time (ms) at which it was taken and its token
-- KEYS[9]  live_prefix     prefix  of live:<user>, a zset: dnis:ani -> time (ms) at which it ends
-- ARGV[1]  step            'numbers' or 'leaving' to list those with a time to come, 'rescore' to set theirs anew
-- ARGV[2]  cursor          list: time (ms) from which to list, integer >= 0
-- ARGV[3]  skip            list: how many to pass over, integer >= 0
-- ARGV[4]  count           list: how many to list, integer > 0
-- ARGV[5]  rest_ms         rest of a number after its last call, integer >= 0
-- ARGV[6]  pair_rest_ms    rest of a number for the ANI of a call after that call, integer >= 0
-- ARGV[7...]  dnises       rescore: DNIS, time (ms) until which other pools' calls are on it or 0, DNIS, ...
--
-- Writes    numbers, shared, leaving, promised, pending, callers_prefix, call_prefix, gone_prefix,
--           live_prefix
-- Includes  whole, ms, end_anew, clock, keep_until
--
-- These keys are built here because the script goes through many numbers, and finds their callers.
--
-- Returns  list: {DNIS, time (ms), ...} in the order of their times; rescore: how many numbers were set anew.
-- Errors   BADARG  the step is none of these, or a number in ARGV is not an integer in its range.

local numbers, shared, leaving, promised, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local callers_prefix, call_prefix, gone_prefix, live_prefix = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local step, cursor, skip, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local rest_ms, pair_rest_ms, dnises = tonumber(ARGV[5]), tonumber(ARGV[6]), {unpack(ARGV, 7)}

local whole = include('whole')

if not (whole(cursor, 0) and whole(skip, 0) and whole(count, 1) and whole(rest_ms, 0) and whole(pair_rest_ms, 0)) then
  return redis.error_reply('BADARG a number is not an integer in its range')
end

local ms, end_anew = include('ms'), include('end_anew')
local now = include('clock')()
local a_second = 1000

-- The call's end, which is set anew if it was leased at a time that has not come yet; nil when it is over.
local function right_end(member, ends)
  local call = call_prefix .. member
  local held = redis.call('HMGET', call, 'leased_ms', 'lessee')
  if not held[1] or tonumber(held[1]) <= now + a_second then
    return held[1] and ends or nil
  end
  ends = now + ends - held[1]
  redis.call('HSET', call, 'leased_ms', ms(now))
  redis.call('PEXPIREAT', call, ms(ends))
  redis.call('ZADD', pending, 'XX', ms(ends), member)
  local live = live_prefix .. held[2]
  if redis.call('ZADD', live, 'XX', 'CH', ms(ends), member) == 1 then
    include('keep_until')(live, ends, now)
  end
  return ends
end

local function rescore(dnis, elsewhere_ms)
  local callers = callers_prefix .. dnis
  local listed = redis.call('ZRANGE', callers, '(' .. ms(now), '+inf', 'BYSCORE', 'WITHSCORES')
  local live = {}
  for i = 1, #listed, 2 do
    local member = dnis .. ':' .. listed[i]
    local ends = right_end(member, tonumber(listed[i + 1]))
    live[#live + 1] = ends
    redis.call('ZADD', callers, ms(ends or now), listed[i])
    local gone = not ends and redis.call('GET', gone_prefix .. member)
    if gone then
      local token = gone:match('^%d+(.*)$')
      redis.call('SET', gone_prefix .. member, ms(now) .. token, 'PX', ms(math.max(pair_rest_ms, 1)))
    end
  end
  table.sort(live, function(a, b) return a > b end)
  local last = tonumber(redis.call('ZRANGE', callers, -1, -1, 'WITHSCORES')[2])
  if last then
    redis.call('PEXPIREAT', callers, ms(last + pair_rest_ms))
  end
  redis.call('ZADD', numbers, 'XX', ms(math.max(last and last + rest_ms or now, elsewhere_ms)), dnis)
  end_anew(shared, dnis, live[2] or 0, now)
  end_anew(leaving, dnis, last and last + pair_rest_ms or 0, now)
  end_anew(promised, dnis, last and last + pair_rest_ms or 0, now)
end

local steps = {}

local function list(zset)
  return redis.call('ZRANGE', zset, math.max(cursor, now) == now and '(' .. ms(now) or ms(cursor), '+inf', 'BYSCORE',
    'LIMIT', skip, count, 'WITHSCORES')
end

function steps.numbers()
  return list(numbers)
end

function steps.leaving()
  return list(leaving)
end

function steps.rescore()
  for i = 1, #dnises, 2 do
    rescore(dnises[i], tonumber(dnises[i + 1]))
  end
  return #dnises / 2
end

if not steps[step] then
  return redis.error_reply("BADARG step must be 'numbers', 'leaving' or 'rescore'")
end
return steps[step]()
