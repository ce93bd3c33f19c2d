#!lua
-- renew -- start the time of one call again and, if a value is given, replace its value.
--
-- If another pool was promised the number, the call lives no longer than was promised, whoever asks: from then on, that
-- pool may lease it.
--
-- KEYS[1]   numbers       zset    DNIS -> time (ms) from which it may be leased again
-- KEYS[2]   shared        zset    DNIS -> time (ms) until which it has more than one live caller
-- KEYS[3]   leaving       zset    DNIS no longer leased -> time (ms) until which its calls may be asked for
-- KEYS[4]   pending       zset    dnis:ani -> time (ms) at which it ends, until somebody asks for it
-- KEYS[5]   stats         hash    counters
-- KEYS[6]   callers       zset    ANI -> time (ms) at which its lease ends
-- KEYS[7]   lost          string  while Redis may have lost calls: 'empty', 'older' or 'ahead'
-- KEYS[8]   call_prefix   prefix  of call:<dnis>:<ani>, a hash: value, token, leased_ms, lessee, reply
-- KEYS[9]   gone_prefix   prefix  of gone:<dnis>:<ani>, a string: time (ms) at which it was taken and its token
-- KEYS[10]  live_prefix   prefix  of live:<user>, a zset: dnis:ani -> time (ms) at which it ends
-- KEYS[11]  reply_prefix  prefix  of reply:<user>:<key>, a hash: what the lease was answered, token, over_ms
-- KEYS[12]  promised      zset    DNIS -> time (ms) from which another pool was told that it may lease it
-- KEYS[13]  stats_prefix  prefix  of stats:<hour>, a hash: the counters of one hour
-- KEYS[14]  presented     string  the ANI at the last miss beside a live call that it is unlike
-- ARGV[1]   dnis          the number
-- ARGV[2]   ani           as presented, canonical; '' is withheld
-- ARGV[3]   rule          'exact', 'suffix' or 'sole'
-- ARGV[4]   match_digits  digits at the end that must agree for suffix, integer > 0
-- ARGV[5]   most_callers  most live callers looked at, integer > 0
-- ARGV[6]   ttl_ms        length of the lease from now, integer > 0
-- ARGV[7]   rest_ms       rest of a number after its last call, integer >= 0
-- ARGV[8]   pair_rest_ms  rest of a number for the ANI of a call after that call, integer >= 0
-- ARGV[9]   replace       1 when value is to be stored, else 0
-- ARGV[10]  value         opaque text
-- ARGV[11]  if_match      quoted tokens, of which the lease must have one; '' for any
-- ARGV[12]  gone_ms       how long the call's idempotency key is kept after its end, integer > 0
-- ARGV[13]  only          the user who must have leased the call; '' for whoever has
-- ARGV[14]  last          1 when the request asks no more: what is not found then is counted, else 0
--
-- Writes    numbers, shared, leaving, pending, stats, callers, call_prefix, live_prefix, reply_prefix, stats_prefix,
--           presented
-- Includes  whole, wrong_question, ms, ends, expire_with_last, clock, tally, allowed, match, near, miss, refusal,
--           keep_until
--
-- The call, gone, live and stats keys are built here because the script finds the caller, the lessee and the hour.
--
-- Returns  {value, token, grade, leased_ms, left_ms}, the value now stored; an integer, the time (ms) at which it was
--          taken, below 0: released; nil when nothing is live under this key.
-- Errors   BADARG     a number in ARGV is not an integer in its range, or rule is none of these words.
--          AMBIGUOUS  more than one live caller fits.
--          WRONGTYPE  the call lacks its value or its token.
--          FOREIGN    another user leased the call.
--          STALE      the lease that is live has none of the tokens.

local numbers, shared, leaving, pending, stats, callers = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local lost, call_prefix, gone_prefix, live_prefix, reply_prefix = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local promised, stats_prefix = KEYS[12], KEYS[13]
local dnis, ani, rule, match_digits = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local most_callers, ttl_ms, rest_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local pair_rest_ms = tonumber(ARGV[8])
local replace, value, if_match, gone_ms, only = ARGV[9], ARGV[10], ARGV[11], tonumber(ARGV[12]), ARGV[13]
local presented, last = KEYS[14], ARGV[14]

local whole = include('whole')

if not (whole(ttl_ms, 1) and whole(rest_ms, 0) and whole(pair_rest_ms, 0) and whole(gone_ms, 1)) then
  return redis.error_reply('BADARG ttl_ms, rest_ms, pair_rest_ms and gone_ms must be integers in range')
end
local wrong = include('wrong_question')(rule, match_digits, most_callers)
if wrong then
  return wrong
end

local ms, ends, expire_with_last = include('ms'), include('ends'), include('expire_with_last')
local now = include('clock')()
local tally = include('tally')(stats, stats_prefix, now)

if rule ~= 'exact' or ani == '' then
  rule = include('allowed')(lost, rule, ani)
end
local grade, found = include('match')(call_prefix, callers, gone_prefix, ani, rule, match_digits, most_callers, now)
local call = found and call_prefix .. found
if not grade or grade == 'gone' or grade == 'ambiguous' then
  if not grade and last == '1' then
    local near, miss = include('near'), include('miss')
    local kind, other = near(callers, call_prefix, ani, match_digits, pending, dnis)
    miss(tally, presented, ani, kind, other and call_prefix .. other)
  end
  return include('refusal')(grade, found, tally)
end
local held = redis.call('HMGET', call, 'value', 'token', 'leased_ms', 'lessee', 'reply')
if not (held[1] and held[2]) then
  return redis.error_reply('WRONGTYPE the call has no value or no token')
end
if only ~= '' and held[4] ~= only then
  return redis.error_reply('FOREIGN another user leased the call')
end
if if_match ~= '' and not if_match:find('"' .. held[2] .. '"', 1, true) then
  tally('stale')
  return redis.error_reply('STALE the lease is another by now')
end
local member = dnis .. ':' .. found

-- The ends of the live calls on this number, the latest first. These reads also fail, before any write, on a key of the
-- wrong type.
local left = redis.call('PTTL', call)
local leased_ms, a_second = tonumber(held[3]) or now, 1000
local is_ahead = leased_ms > now + a_second
if is_ahead then -- the clock was set back, and pool_rescore has yet to come: as there, the call has its length from now
  left, leased_ms = left - (leased_ms - now), now
end
left = math.max(left, 0)
local promise = redis.call('ZSCORE', promised, dnis)
if promise then
  ttl_ms = math.max(math.min(ttl_ms, promise - pair_rest_ms - now), left)
end
local until_ms = now + ttl_ms
local until_text = ms(until_ms)
local now_text = ms(now)
local all_ends = ends(callers, call_prefix, found, most_callers, now_text)
all_ends[#all_ends + 1] = until_ms
if all_ends[2] then
  table.sort(all_ends, function(a, b) return a > b end)
end
local last_end = all_ends[1]
local live = live_prefix .. held[4]
redis.call('ZSCORE', live, member)
redis.call('ZSCORE', pending, member)
redis.call('ZSCORE', numbers, dnis)
redis.call('ZSCORE', shared, dnis)
redis.call('ZSCORE', leaving, dnis)
local reply_key = held[5] and reply_prefix .. held[5]
local is_kept = reply_key and redis.call('HGET', reply_key, 'token') == held[2]
local kept_ms = is_kept and redis.call('PTTL', reply_key)

if replace == '1' then
  redis.call('HSET', call, 'value', value)
  held[1] = value
end
if is_ahead then
  redis.call('HSET', call, 'leased_ms', now_text) -- or pool_rescore would take the new end for one by the old clock
end
redis.call('PEXPIREAT', call, until_text)
redis.call('ZADD', callers, until_text, found)
redis.call('PEXPIREAT', callers, ms(last_end + pair_rest_ms))
redis.call('ZADD', numbers, 'XX', ms(last_end + rest_ms), dnis)
redis.call('ZADD', pending, 'XX', until_text, member)
if redis.call('ZADD', live, 'XX', 'CH', until_text, member) == 1 then
  include('keep_until')(live, until_ms, now)
end
if redis.call('ZADD', leaving, 'XX', 'CH', ms(last_end + pair_rest_ms), dnis) == 1 then
  expire_with_last(leaving)
end
if all_ends[2] then
  -- XX: a number that left its pool is not put back.
  if redis.call('ZADD', shared, 'XX', 'CH', ms(all_ends[2]), dnis) == 1 then
    expire_with_last(shared)
  end
else
  redis.call('ZREM', shared, dnis)
end
if is_kept then
  redis.call('HSET', reply_key, 'over_ms', until_text)
  redis.call('PEXPIRE', reply_key, ms(math.max(kept_ms, ttl_ms + gone_ms)))
end
tally('renewed', 1)
tally('held_ms', ttl_ms - left, held[3])
return {held[1], held[2], grade, leased_ms, ttl_ms}
