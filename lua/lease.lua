#!lua
-- lease -- lend a number to one caller and keep the caller's value under the two of them.
--
-- A request that was answered before under the same key gets that answer again while its call is live; once that is
-- over, a request under an idempotency key is told since when, and leases nothing. Otherwise the number that has been
-- free longest is lent to this caller alone. With none free, `share` puts the caller on the number with the fewest live
-- callers, among those whose leases end soonest; `fallback` puts the caller on the fallback number. No number is shared
-- by two calls with one ANI (or one tail, where tails tell calls apart). A withheld caller gets a free number or none,
-- and has it alone: another caller, whose ANI is lost on the way, would be taken for the withheld one.
--
-- After a call, its number rests for all, and the pair of its number and ANI rests for as long as somebody may ask for
-- that call: a repeated take, or a caller who arrives late, must not find this ANI's next call. A number that is
-- free for all but this pair is passed over and stays as free as it is.
--
-- KEYS[1]   numbers         zset    DNIS -> time (ms) from which it may be leased again
-- KEYS[2]   shared          zset    DNIS -> time (ms) until which it has more than one live caller
-- KEYS[3]   leaving         zset    DNIS not in numbers -> time (ms) until which its calls may be asked for
-- KEYS[4]   pending         zset    dnis:ani -> time (ms) at which it ends, until somebody asks for it
-- KEYS[5]   unclaimed       zset    DNIS -> how many of its calls in a row nobody asked for
-- KEYS[6]   stats           hash    counters
-- KEYS[7]   live            zset    dnis:ani of the lessee's live leases -> time (ms) at which they end
-- KEYS[8]   reply           hash    the answer under this key: dnis, token, leased_ms, fingerprint, over_ms
-- KEYS[9]   lost            string  while Redis may have lost calls: 'empty', 'older' or 'ahead'
-- KEYS[10]  call_prefix     prefix  of call:<dnis>:<ani>, a hash: value, token, leased_ms, lessee
-- KEYS[11]  callers_prefix  prefix  of callers:<dnis>, a zset: ANI -> time (ms) at which its lease ends
-- KEYS[12]  gone_prefix     prefix  of gone:<dnis>:<ani>, a string: time (ms) at which it was taken and its token
-- KEYS[13]  stats_prefix    prefix  of stats:<hour>, a hash: the counters of one hour
-- KEYS[14]  lessees         zset    user -> time (ms) since when there is a live:<user>
-- ARGV[1]   ani             canonical; '' is withheld
-- ARGV[2]   value           opaque text
-- ARGV[3]   token           names this lease, unique
-- ARGV[4]   lessee          the user who asks
-- ARGV[5]   ttl_ms          length of the lease, integer > 0
-- ARGV[6]   rest_ms         rest of a number after its last call, integer >= 0
-- ARGV[7]   pair_rest_ms    rest of a number for the ANI of a call after that call, integer >= rest_ms
-- ARGV[8]   exhausted       'share', 'fallback' or 'reject'
-- ARGV[9]   fallback        the fallback number; '' without one
-- ARGV[10]  share_scan      most numbers looked at in one step, integer > 0
-- ARGV[11]  max_callers     most live callers on one number, integer > 0
-- ARGV[12]  tail_digits     digits at the end that must tell calls on one number apart, 0: all; integer >= 0
-- ARGV[13]  max_live        most live leases of this user, 0: any number; integer >= 0
-- ARGV[14]  reply_ms        how long the answer is kept under its key, 0: there is no key; integer >= 0
-- ARGV[15]  reply_name      <user>:<key> of an idempotency key; '' when an answer is kept only while its call is live
-- ARGV[16]  fingerprint     of the request
-- ARGV[17]  reap_step       most ended calls counted in passing, integer >= 0
-- ARGV[18]  most_callers    most callers whose tails are looked at on one number, integer > 0
-- ARGV[19]  sole            1 when a call of this pool is found by its number alone, else 0
-- ARGV[20]  expected_ms     time (ms) that the service expects here, 0: it knows none; integer >= 0
-- ARGV[21]  most_off_ms     how far from that time the clock may be, integer >= 0
--
-- Writes    numbers, shared, leaving, pending, unclaimed, stats, live, reply, call_prefix, callers_prefix, gone_prefix,
--           stats_prefix, lessees
-- Includes  whole, ms, ends, expire_with_last, clock, tally, reap, keep_until
--
-- The call, callers, gone and stats keys are built here, in the slot of their prefixes, because the script chooses the
-- number and the hour.
--
-- Returns  {outcome, dnis, token, leased_ms, left_ms}, outcome 'leased', 'shared', 'fallback' or 'replayed';
--          {'exhausted', ms until this ANI may next have a number}, -1 when the pool has no numbers;
--          {'max_live', ms until the first of the user's leases ends, how many the user has};
--          {'over', time (ms) at which the call of this key was over};
--          {'lost', ms until such callers are served again}; {'jumped'} when the clock is not as expected.
-- Errors   BADARG  a number in ARGV is not an integer in its range, or exhausted is none of these words.
--          REUSED  the key was used for another request.

local numbers, shared, leaving, pending, unclaimed, stats = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local live, reply, lost, call_prefix = KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local callers_prefix, gone_prefix, stats_prefix, lessees = KEYS[11], KEYS[12], KEYS[13], KEYS[14]
local ani, value, token, lessee = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ttl_ms, rest_ms, pair_rest_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local exhausted, fallback = ARGV[8], ARGV[9]
local share_scan, max_callers, tail_digits = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local max_live, reply_ms, reply_name = tonumber(ARGV[13]), tonumber(ARGV[14]), ARGV[15]
local fingerprint, reap_step, most_callers = ARGV[16], tonumber(ARGV[17]), tonumber(ARGV[18])
local sole, expected_ms, most_off_ms = ARGV[19], tonumber(ARGV[20]), tonumber(ARGV[21])

local whole = include('whole')

if not (whole(ttl_ms, 1) and whole(rest_ms, 0) and whole(pair_rest_ms, rest_ms) and whole(share_scan, 1)
  and whole(max_callers, 1) and whole(tail_digits, 0) and whole(max_live, 0) and whole(reply_ms, 0)
  and whole(reap_step, 0) and whole(most_callers, 1) and whole(expected_ms, 0) and whole(most_off_ms, 0)) then
  return redis.error_reply('BADARG a time, digits, a step or a most is not an integer in its range')
end
if exhausted ~= 'share' and exhausted ~= 'fallback' and exhausted ~= 'reject' then
  return redis.error_reply("BADARG exhausted must be 'share', 'fallback' or 'reject'")
end

local ms, ends, expire_with_last = include('ms'), include('ends'), include('expire_with_last')
local now = include('clock')()
local now_text = ms(now)
local tally, keep_peak = include('tally')(stats, stats_prefix, now)

if reply_ms > 0 then
  local said = redis.call('HMGET', reply, 'dnis', 'token', 'leased_ms', 'fingerprint', 'over_ms')
  if said[1] and said[4] ~= fingerprint then
    return redis.error_reply('REUSED the key was used for another request')
  end
  local call = said[1] and call_prefix .. said[1] .. ':' .. ani
  local held = said[1] and redis.call('HMGET', call, 'token', 'leased_ms')
  if held and held[1] == said[2] then
    tally('replayed', 1)
    return {'replayed', said[1], said[2], tonumber(held[2]) or now, redis.call('PTTL', call)}
  end
  if said[1] and reply_name ~= '' then
    return {'over', math.min(tonumber(said[5] or said[3]) or now, now)}
  end
end

-- A caller who is found without an ANI of his own might be given the call, or the number, of one who was lost.
if ani == '' or sole == '1' then
  local left = redis.call('PTTL', lost)
  if left > 0 then
    return {'lost', left}
  end
  if expected_ms > 0 and math.abs(now - expected_ms) > most_off_ms then
    return {'jumped'}
  end
end

if max_live > 0 then
  local running
  for _ = 1, 2 do
    running = redis.call('ZRANGE', live, '(' .. now_text, '+inf', 'BYSCORE', 'LIMIT', 0, max_live, 'WITHSCORES')
    if #running < 2 * max_live then
      break
    end
    -- Before the user is refused: what is over does not count, though its end lies ahead of a clock that was set back,
    -- and another user may have the same caller on the same number by now.
    for i = 1, math.min(#running, 2 * share_scan), 2 do
      if redis.call('HGET', call_prefix .. running[i], 'lessee') ~= lessee then
        redis.call('ZREM', live, running[i])
      end
    end
  end
  if #running >= 2 * max_live then
    local held = redis.call('ZCOUNT', live, '(' .. now_text, '+inf') -- more, where fewer were allowed since
    tally('over_max_live', 1)
    return {'max_live', running[2] - now, held}
  end
end

local reap = include('reap')(pending, unclaimed, reap_step, now, now_text)

-- Looked for among most_callers, though fewer may be live: some may be listed that are over (a clock set back).
local function live_on(dnis)
  return ends(callers_prefix .. dnis, call_prefix .. dnis .. ':', nil, most_callers, now_text)
end

-- The time (ms) until which this ANI's last call on the number may be asked for; 0 when it has had none of late.
local function pair_rests_until(dnis)
  local ended = redis.call('ZSCORE', callers_prefix .. dnis, ani)
  return ended and ended + pair_rest_ms or 0
end

-- Whether a call of this ANI or of a withheld caller is live on the number, listed there or not.
local function unlisted(dnis)
  local withheld = call_prefix .. dnis .. ':'
  return redis.call('EXISTS', withheld .. ani, withheld) > 0
end

-- Whether a call of the ANI's tail, where tails tell calls apart, may be asked for on the number.
local function same_tail(dnis)
  if tail_digits == 0 or #ani < tail_digits then
    return false
  end
  local listed = redis.call('ZRANGE', callers_prefix .. dnis, '(' .. ms(now - pair_rest_ms), '+inf', 'BYSCORE',
    'LIMIT', 0, most_callers + 1)
  for at, caller in ipairs(listed) do
    if at > most_callers or #caller >= tail_digits and caller:sub(-tail_digits) == ani:sub(-tail_digits) then
      return true
    end
  end
  return false
end

local function clashes(dnis)
  return pair_rests_until(dnis) > now or unlisted(dnis) or same_tail(dnis)
end

-- The number with the fewest live callers between two scores, of those on which this ANI can be told apart.
local function emptiest(from, to)
  local best, fewest
  for _, dnis in ipairs(redis.call('ZRANGE', numbers, from, to, 'BYSCORE', 'LIMIT', 0, share_scan)) do
    local running = live_on(dnis)
    -- A number without a list of callers waits for its last call in another pool to end.
    local is_ours = redis.call('EXISTS', callers_prefix .. dnis) == 1
    if is_ours and #running < (fewest and #fewest or max_callers) and not clashes(dnis) then
      best, fewest = dnis, running
      if #running < 2 then
        break
      end
    end
  end
  return best, fewest
end

local dnis, others = nil, {}
local soonest -- at which this ANI may have a number that is free for others now

local looked = redis.call('ZRANGE', numbers, '-inf', now_text, 'BYSCORE', 'LIMIT', 0, 1)
for at = 1, share_scan do
  local free = looked[at]
  if not free then
    break
  end
  local last_end = live_on(free)[1]
  local pair_until = pair_rests_until(free)
  local is_live = last_end or unlisted(free)
  if not is_live and pair_until <= now and not same_tail(free) then
    dnis = free
    break
  end
  if at == 1 then -- before its score is corrected; few leases come this far
    looked = redis.call('ZRANGE', numbers, '-inf', now_text, 'BYSCORE', 'LIMIT', 0, share_scan)
  end
  if is_live then
    -- The score says that it is free, and its callers say otherwise (a restored or edited database): correct the score.
    local withheld = call_prefix .. free .. ':'
    local left = math.max(redis.call('PTTL', withheld .. ani), redis.call('PTTL', withheld), 1)
    redis.call('ZADD', numbers, 'XX', ms(math.max(last_end or 0, now + left) + rest_ms), free)
  else
    soonest = math.min(soonest or math.huge, math.max(pair_until, now + 1))
  end
end

if ani == '' then
  exhausted = 'reject'
end

if not dnis and exhausted == 'share' then
  dnis, others = emptiest('(' .. ms(now + rest_ms), '+inf')
  if not dnis and tail_digits == 0 then
    dnis, others = emptiest('(' .. now_text, ms(now + rest_ms))
  end
end

local outcome = dnis and others[1] and 'shared' or 'leased'

local fallback_from -- at which this ANI may have the fallback number

if not dnis and exhausted == 'fallback' then
  local running = live_on(fallback)
  if #running < max_callers and not clashes(fallback) then
    dnis, others, outcome = fallback, running, 'fallback'
  elseif #running < max_callers then
    fallback_from = pair_rests_until(fallback)
  end
end

if not dnis then
  if redis.call('EXISTS', numbers) == 1 then -- else nobody has put the pool's numbers in place: it lacks none
    tally('rejected', 1)
    if ani == '' then
      tally('withheld', 1)
    end
  end
  local busy = redis.call('ZRANGE', numbers, '(' .. now_text, '+inf', 'BYSCORE', 'LIMIT', 0, share_scan, 'WITHSCORES')
  for i = 1, #busy, 2 do
    local free_from = tonumber(busy[i + 1])
    if soonest and free_from >= soonest then
      break
    end
    soonest = math.min(soonest or math.huge, math.max(free_from, pair_rests_until(busy[i])))
  end
  if soonest and fallback_from and fallback_from > now then
    soonest = math.min(soonest, fallback_from)
  end
  return {'exhausted', soonest and soonest - now or -1}
end

local member = dnis .. ':' .. ani
local call, callers = call_prefix .. member, callers_prefix .. dnis
local until_ms = now + ttl_ms
local until_text = ms(until_ms)
local last_end = math.max(until_ms, others[1] or 0)

-- These reads fail, before any write, on a key of the wrong type.
if outcome == 'fallback' then
  redis.call('ZCARD', leaving)
end
if others[1] then
  redis.call('ZCARD', shared)
end
if max_live == 0 then -- else it was read above
  redis.call('ZCARD', live)
end
local lists_lessee = redis.call('PTTL', live) < ttl_ms -- at the first of the user's leases, and once a minute
if lists_lessee then
  redis.call('ZCARD', lessees)
end

tally('leased', 1)
tally('held_ms', ttl_ms)
if outcome ~= 'leased' then
  tally(outcome, 1)
end
if ani == '' then
  tally('withheld', 1)
end
reap(tally, member)
redis.call('DEL', gone_prefix .. member) -- what was taken there was another call of this ANI
redis.call('HSET', call, 'value', value, 'token', token, 'leased_ms', now_text, 'lessee', lessee)
if reply_name ~= '' then
  redis.call('HSET', call, 'reply', reply_name)
end
redis.call('PEXPIREAT', call, until_text)
redis.call('ZREMRANGEBYSCORE', callers, '-inf', ms(now - pair_rest_ms))
redis.call('ZADD', callers, until_text, ani)
redis.call('PEXPIREAT', callers, ms(last_end + pair_rest_ms))
redis.call('ZADD', numbers, 'XX', ms(last_end + rest_ms), dnis)
redis.call('ZADD', pending, until_text, member)
if outcome == 'fallback' then
  -- So sync knows of its calls, as of those on a number that left, whatever becomes of the fallback number.
  redis.call('ZADD', leaving, ms(last_end + pair_rest_ms), dnis)
  expire_with_last(leaving)
end

if others[1] then
  -- The number stays shared until the second-latest of its callers' ends.
  redis.call('ZREMRANGEBYSCORE', shared, '-inf', now_text)
  redis.call('ZADD', shared, ms(math.max(math.min(until_ms, others[1]), others[2] or 0)), dnis)
  expire_with_last(shared)
end
redis.call('ZADD', live, until_text, member)
if lists_lessee then
  include('keep_until')(live, until_ms, now)
  redis.call('ZADD', lessees, 'NX', now_text, lessee)
  redis.call('PEXPIRE', lessees, 691200000) -- eight days
end
if reply_ms > 0 then
  redis.call('HSET', reply, 'dnis', dnis, 'token', token, 'leased_ms', now_text, 'fingerprint', fingerprint,
    'over_ms', until_text)
  redis.call('PEXPIRE', reply, ms(reply_ms))
end

keep_peak(redis.call('ZCOUNT', numbers, '(' .. ms(now + rest_ms), '+inf'))
return {outcome, dnis, token, now, ttl_ms}
