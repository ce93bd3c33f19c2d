#!lua flags=allow-oom
-- take -- hand over the value of one call, once, and let its number rest.
--
-- Repeated under the same key, it hands over the same value again; without a key, it says when the call was taken.
-- It frees memory, and must run even when Redis is full; a DEL comes first for Redis 6.2, which knows no flags.
--
-- KEYS[1]   numbers       zset    DNIS -> time (ms) from which it may be leased again
-- KEYS[2]   shared        zset    DNIS -> time (ms) until which it has more than one live caller
-- KEYS[3]   pending       zset    dnis:ani -> time (ms) at which it ends, until somebody asks for it
-- KEYS[4]   unclaimed     zset    DNIS -> how many of its calls in a row nobody asked for
-- KEYS[5]   stats         hash    counters
-- KEYS[6]   taken         hash    the answer under this key: value, token, grade, leased_ms, fingerprint
-- KEYS[7]   callers       zset    ANI -> time (ms) at which its lease ends
-- KEYS[8]   lost          string  while Redis may have lost calls: 'empty', 'older' or 'ahead'
-- KEYS[9]   call_prefix   prefix  of call:<dnis>:<ani>, a hash: value, token, leased_ms, lessee, reply
-- KEYS[10]  gone_prefix   prefix  of gone:<dnis>:<ani>, a string: time (ms) at which it was taken and its token
-- KEYS[11]  live_prefix   prefix  of live:<user>, a zset: dnis:ani -> time (ms) at which it ends
-- KEYS[12]  reply_prefix  prefix  of reply:<user>:<key>, a hash: what the lease was answered, token, over_ms
-- KEYS[13]  stats_prefix  prefix  of stats:<hour>, a hash: the counters of one hour
-- KEYS[14]  presented     string  the ANI at the last miss beside a live call that it is unlike
-- ARGV[1]   dnis          the number
-- ARGV[2]   ani           as presented, canonical; '' is withheld
-- ARGV[3]   rule          'exact', 'suffix' or 'sole'
-- ARGV[4]   match_digits  digits at the end that must agree for suffix, integer > 0
-- ARGV[5]   most_callers  most live callers looked at, integer > 0
-- ARGV[6]   rest_ms       rest of a number after its last call, integer >= 0
-- ARGV[7]   pair_rest_ms  rest of a number for the ANI of a call after that call, integer >= 0
-- ARGV[8]   gone_ms       how long it is remembered that the call was taken, integer > 0
-- ARGV[9]   keyed         1 when the answer is kept under a key for as long, else 0
-- ARGV[10]  if_match      quoted tokens, of which the lease must have one; '' for any
-- ARGV[11]  last          1 when the request asks no more: what is not found then is counted, else 0
-- ARGV[12]  token         of the lease that is meant, whatever ani and rule are; '' to go by these
--
-- Writes    numbers, shared, pending, unclaimed, stats, taken, callers, call_prefix, gone_prefix, live_prefix,
--           reply_prefix, stats_prefix, presented
-- Includes  whole, wrong_question, ms, ends, clock, tally, by_token, allowed, match, near, miss, refusal, end_call
--
-- The call, gone, live and stats keys are built here because the script finds the caller, the lessee and the hour.
--
-- Returns  {value, token, grade, leased_ms, left_ms, replayed}, grade 'exact', 'suffix', 'sole', or 'uui' by its
--          token, replayed 1 or 0; an integer, the time (ms) at which it was taken, below 0: released; nil when nothing
--          is live under this key.
-- Errors   BADARG     a number in ARGV is not an integer in its range, or rule is none of these words.
--          AMBIGUOUS  more than one live caller fits.
--          WRONGTYPE  the call lacks its value or its token.
--          REUSED     the key was used for another call.
--          STALE      the lease that is live has none of the tokens.

local numbers, shared, pending, unclaimed, stats, taken = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local callers, lost, call_prefix, gone_prefix, live_prefix = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local reply_prefix, stats_prefix = KEYS[12], KEYS[13]
local dnis, ani, rule, match_digits = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local most_callers, rest_ms, pair_rest_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local gone_ms, keyed, if_match = tonumber(ARGV[8]), ARGV[9], ARGV[10]
local presented, last, token = KEYS[14], ARGV[11], ARGV[12]

local whole = include('whole')

if not (whole(rest_ms, 0) and whole(pair_rest_ms, 0) and whole(gone_ms, 1)) then
  return redis.error_reply('BADARG rest_ms, pair_rest_ms and gone_ms must be integers in range')
end
local wrong = include('wrong_question')(rule, match_digits, most_callers)
if wrong then
  return wrong
end

local ms, ends = include('ms'), include('ends')
local now = include('clock')()
local tally = include('tally')(stats, stats_prefix, now)
local asked = dnis .. ':' .. (token == '' and ani or 'uui ' .. token)

if keyed == '1' then
  local said = redis.call('HMGET', taken, 'value', 'token', 'grade', 'leased_ms', 'fingerprint')
  if said[1] and said[5] ~= asked then
    return redis.error_reply('REUSED the key was used for another call')
  end
  if said[1] then
    tally('replayed')
    return {said[1], said[2], said[3], tonumber(said[4]) or now, 0, 1}
  end
end

local grade, found
if token ~= '' then
  grade, found = include('by_token')(call_prefix, callers, gone_prefix, token, most_callers)
else
  if rule ~= 'exact' or ani == '' then
    rule = include('allowed')(lost, rule, ani)
  end
  grade, found = include('match')(call_prefix, callers, gone_prefix, ani, rule, match_digits, most_callers, now)
end
local call = found and call_prefix .. found
if not grade or grade == 'gone' or grade == 'ambiguous' then
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
local held = redis.call('HMGET', call, 'value', 'token', 'leased_ms', 'lessee', 'reply')
if not (held[1] and held[2]) then
  return redis.error_reply('WRONGTYPE the call has no value or no token')
end
if if_match ~= '' and not if_match:find('"' .. held[2] .. '"', 1, true) then
  tally('stale')
  return redis.error_reply('STALE the lease is another by now')
end

-- These reads also fail, before any write, on a key of the wrong type.
local now_text = ms(now)
local leased_ms = tonumber(held[3]) or now
local stay = ends(callers, call_prefix, found, most_callers, now_text)
redis.call('ZCARD', unclaimed)
local end_it, left = include('end_call')(numbers, shared, pending, callers, call_prefix, gone_prefix, live_prefix,
  reply_prefix, dnis, found, held, stay, rest_ms, pair_rest_ms, gone_ms, now, now_text,
  token == '' and ani or found, '')

local was_pending = end_it()
if keyed == '1' then
  redis.call('HSET', taken, 'value', held[1], 'token', held[2], 'grade', grade, 'leased_ms', ms(leased_ms),
    'fingerprint', asked)
  redis.call('PEXPIRE', taken, ms(gone_ms))
end
tally('taken', 1)
tally('held_ms', 0 - left, leased_ms) -- never -0, which Redis 7.0 would not count
if was_pending then
  redis.call('ZREM', unclaimed, dnis)
  tally('match_' .. grade, 1)
end

-- The transit time in seconds, rounded up to a step that grows with it.
local transit = math.max(math.ceil((now - leased_ms) / 1000), 1)
local step = transit <= 60 and 1 or transit <= 300 and 5 or transit <= 3600 and 60 or 600
tally('t' .. ms(math.ceil(transit / step) * step), 1)
return {held[1], held[2], grade, leased_ms, left, 0}
