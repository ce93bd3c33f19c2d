#!lua flags=no-writes
-- explain -- which calls are live on a number, and which of them an ANI would be matched with, or is most like.
--
-- KEYS[1]  callers       zset    ANI -> time (ms) at which its lease ends
-- KEYS[2]  lost          string  while Redis may have lost calls: 'empty', 'older' or 'ahead'
-- KEYS[3]  call_prefix   prefix  of call:<dnis>:<ani>, without the colon before the ANI
-- KEYS[4]  gone_prefix   prefix  of gone:<dnis>:<ani>, a string: time (ms) at which it was taken and its token
-- KEYS[5]  beat          hash    born_ms, lost_ms, loss: since when Redis has calls, and lost some; and more
-- ARGV[1]  ani           as presented, canonical; '' is withheld
-- ARGV[2]  rule          'exact', 'suffix' or 'sole'
-- ARGV[3]  match_digits  digits at the end that must agree for suffix, integer > 0
-- ARGV[4]  most_callers  most live callers looked at, integer > 0
--
-- Writes    nothing
-- Includes  wrong_question, clock, allowed, match, near
--
-- The call and gone keys are built here because the script finds the callers. If call_prefix ended in that colon, it
-- would be the key of a withheld caller's call, and every key declared here might exist (see cticache/data/keys.py).
--
-- Returns  {grade, what, rule, kind, like, now, born_ms, lost_ms, loss, ended_ms, ani, token, lessee, leased_ms,
--          left_ms, ani, ...}: the grade 'exact', 'suffix', 'sole', 'ambiguous', 'gone' or '' for none; what is the ANI
--          of the call that it found, for gone the time in ms at which it was taken, below 0: released; the rule as it
--          counts now, 'none' for none; where it found none, how the ANI differs ('more', 'less', 'tail', 'withheld' or
--          'unlike') from that of the live call it is most like, and that one, else '' and ''; the server's time (ms),
--          that since when it has calls of the pool, and that of the last loss, 0 for unknown and none, and the loss's
--          kind; when a call of this ANI ended of which nothing tells that it was taken or released, 0 for none; then
--          five for each live call, never its value.
-- Errors   BADARG  a number in ARGV is not an integer > 0, or rule is none of these words.

local callers, lost, call_prefix, gone_prefix, beat = KEYS[1], KEYS[2], KEYS[3] .. ':', KEYS[4], KEYS[5]
local ani, rule, match_digits, most_callers = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local wrong = include('wrong_question')(rule, match_digits, most_callers)
if wrong then
  return wrong
end

local now = include('clock')()
if rule ~= 'exact' or ani == '' then
  rule = include('allowed')(lost, rule, ani)
end
local grade, found = include('match')(call_prefix, callers, gone_prefix, ani, rule, match_digits, most_callers, now)
local kind, like
local ended_ms = 0
if not grade then
  local ends = tonumber(redis.call('ZSCORE', callers, ani) or 0)
  if ends <= now and redis.call('EXISTS', gone_prefix .. ani) == 0 then
    ended_ms = ends
  end
  kind, like = include('near')(callers, call_prefix, ani, match_digits)
end
local since = redis.call('HMGET', beat, 'born_ms', 'lost_ms', 'loss')
local reply = {
  grade or '', found or '', rule, kind or '', like or '',
  now, tonumber(since[1] or 0), tonumber(since[2] or 0), since[3] or '', ended_ms,
}
for _, caller in ipairs(redis.call('ZRANGE', callers, string.format('(%.0f', now), '+inf', 'BYSCORE',
  'LIMIT', 0, most_callers)) do
  local held = redis.call('HMGET', call_prefix .. caller, 'token', 'lessee', 'leased_ms')
  if held[1] then
    reply[#reply + 1] = caller
    reply[#reply + 1] = held[1]
    reply[#reply + 1] = held[2]
    reply[#reply + 1] = tonumber(held[3])
    reply[#reply + 1] = redis.call('PTTL', call_prefix .. caller)
  end
end
return reply
