#!lua flags=allow-oom
-- read -- the value of one call, left in place.
--
-- It writes when somebody other than the lessee asks for the call for the first time, and what it counts. It must do so
-- even when Redis is full; the ZREM comes first for Redis 6.2, which knows no flags. To peek is to be answered the same
-- and to write nothing.
--
-- KEYS[1]  pending       zset    dnis:ani -> time (ms) at which it ends, until somebody asks for it
-- KEYS[2]  unclaimed     zset    DNIS -> how many of its calls in a row nobody asked for
-- KEYS[3]  stats         hash    counters
-- KEYS[4]  callers       zset    ANI -> time (ms) at which its lease ends
-- KEYS[5]  lost          string  while Redis may have lost calls: 'empty', 'older' or 'ahead'
-- KEYS[6]  call_prefix   prefix  of call:<dnis>:<ani>, a hash: value, token, leased_ms, lessee, reply
-- KEYS[7]  gone_prefix   prefix  of gone:<dnis>:<ani>, a string: time (ms) at which it was taken and its token
-- KEYS[8]  stats_prefix  prefix  of stats:<hour>, a hash: the counters of one hour
-- KEYS[9]  presented     string  the ANI at the last miss beside a live call that it is unlike
-- ARGV[1]  dnis          the number
-- ARGV[2]  ani           as presented, canonical; '' is withheld
-- ARGV[3]  rule          'exact', 'suffix' or 'sole'
-- ARGV[4]  match_digits  digits at the end that must agree for suffix, integer > 0
-- ARGV[5]  most_callers  most live callers looked at, integer > 0
-- ARGV[6]  reader        the user who asks; '' to peek
-- ARGV[7]  last          1 when the request asks no more: what is not found then is counted, else 0
-- ARGV[8]  token         of the lease that is meant, whatever ani and rule are; '' to go by these
--
-- Writes    pending, unclaimed, stats, call_prefix, stats_prefix, presented
-- Includes  wrong_question, clock, tally, by_token, allowed, match, refusal, near, miss
--
-- The call, gone and stats keys are built here because the script finds the caller and the hour.
--
-- Returns  {value, token, grade, leased_ms, left_ms}, grade 'exact', 'suffix', 'sole', or 'uui' by its token; an
--          integer, the time (ms) at which it was taken, below 0: released; nil when nothing is live under this key.
-- Errors   BADARG     a number in ARGV is not an integer in its range, or rule is none of these words.
--          AMBIGUOUS  more than one live caller fits.
--          WRONGTYPE  the call lacks its value or its token.

local pending, unclaimed, stats, callers, lost = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local call_prefix, gone_prefix, stats_prefix = KEYS[6], KEYS[7], KEYS[8]
local dnis, ani, rule, match_digits = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local most_callers, reader = tonumber(ARGV[5]), ARGV[6]
local presented, last, token = KEYS[9], ARGV[7], ARGV[8]

local wrong = include('wrong_question')(rule, match_digits, most_callers)
if wrong then
  return wrong
end

local clock, new_tally = include('clock'), include('tally')
local now, grade, found
if token ~= '' then
  grade, found = include('by_token')(call_prefix, callers, gone_prefix, token, most_callers)
else
  if rule ~= 'exact' or ani == '' then
    rule = include('allowed')(lost, rule, ani)
  end
  now = rule ~= 'exact' and clock() -- an exact call is there or is not, whatever the time
  grade, found = include('match')(call_prefix, callers, gone_prefix, ani, rule, match_digits, most_callers, now)
end
local call = found and call_prefix .. found
-- What finds nothing goes a way of its own: a tally reads both its keys, and few reads count anything.
if not grade or grade == 'gone' or grade == 'ambiguous' then
  if reader == '' then
    return include('refusal')(grade, found, function() end)
  end
  local tally = new_tally(stats, stats_prefix, now or clock())
  if not grade and last == '1' then
    local near, miss = include('near'), include('miss')
    local kind, other
    if token == '' then
      kind, other = near(callers, call_prefix, ani, match_digits, pending, dnis)
    end
    miss(tally, presented, ani, kind, other and call_prefix .. other)
  end
  return include('refusal')(grade, found, tally)
end
local held = redis.call('HMGET', call, 'value', 'token', 'leased_ms', 'lessee')
if not (held[1] and held[2]) then
  return redis.error_reply('WRONGTYPE the call has no value or no token')
end
local member = dnis .. ':' .. found

if reader ~= '' and held[4] ~= reader and redis.call('ZSCORE', pending, member) then
  local tally = new_tally(stats, stats_prefix, now or clock())
  redis.call('ZREM', pending, member)
  redis.pcall('ZREM', unclaimed, dnis) -- of a wrong type it is no reason to keep the value back
  tally('match_' .. grade, 1)
end
return {held[1], held[2], grade, tonumber(held[3]) or now or clock(), redis.call('PTTL', call)}
