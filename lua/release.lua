#!lua flags=allow-oom
-- release -- end calls without handing over their values, and let their numbers rest.
--
-- Whoever asks for such a call within gone_ms is told that it was released. Only what is named is ended: a call that
-- was leased under the same number and ANI since then has another token, and stays.
-- It frees memory, and must run even when Redis is full; a DEL comes first for Redis 6.2, which knows no flags.
--
-- KEYS[1]   numbers         zset    DNIS -> time (ms) from which it may be leased again
-- KEYS[2]   shared          zset    DNIS -> time (ms) until which it has more than one live caller
-- KEYS[3]   pending         zset    dnis:ani -> time (ms) at which it ends, until somebody asks for it
-- KEYS[4]   stats           hash    counters
-- KEYS[5]   callers_prefix  prefix  of callers:<dnis>, a zset: ANI -> time (ms) at which its lease ends
-- KEYS[6]   call_prefix     prefix  of call:<dnis>:<ani>, a hash: value, token, leased_ms, lessee, reply
-- KEYS[7]   gone_prefix     prefix  of gone:<dnis>:<ani>, a string: time (ms) at which it was released, its token
-- KEYS[8]   live_prefix     prefix  of live:<user>, a zset: dnis:ani -> time (ms) at which it ends
-- KEYS[9]   reply_prefix    prefix  of reply:<user>:<key>, a hash: what the lease was answered, token, over_ms
-- KEYS[10]  stats_prefix    prefix  of stats:<hour>, a hash: the counters of one hour
-- ARGV[1]   most_callers    most live callers looked at on one number, integer > 0
-- ARGV[2]   rest_ms         rest of a number after its last call, integer >= 0
-- ARGV[3]   pair_rest_ms    rest of a number for the ANI of a call after that call, integer >= 0
-- ARGV[4]   gone_ms         how long it is remembered that the call was released, integer > 0
-- ARGV[5...]  calls         DNIS, ANI, token, DNIS, ...: an ANI '*' is that of the token's call, a token '' any
--
-- Writes    numbers, shared, pending, stats, callers_prefix, call_prefix, gone_prefix, live_prefix, reply_prefix,
--           stats_prefix
-- Includes  from, whole, ends, by_token, match, end_call, clock, tally
--
-- These keys are built here because the script goes through several calls, and finds their lessees and hours.
--
-- Returns  for each call the token of the lease that was ended; an integer, the time (ms) at which the call was taken,
--          below 0: released; '' when no such call is live.
-- Errors   BADARG  a number in ARGV is not an integer in its range, or a call is not whole.

local numbers, shared, pending, stats, callers_prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local call_prefix, gone_prefix, live_prefix = KEYS[6], KEYS[7], KEYS[8]
local reply_prefix, stats_prefix = KEYS[9], KEYS[10]
local most_callers, rest_ms, pair_rest_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local gone_ms = tonumber(ARGV[4])
local calls = include('from')(ARGV, 5)

local whole = include('whole')

if not (whole(most_callers, 1) and whole(rest_ms, 0) and whole(pair_rest_ms, 0) and whole(gone_ms, 1)) then
  return redis.error_reply('BADARG a number is not an integer in its range')
end
if #calls % 3 ~= 0 then
  return redis.error_reply('BADARG a call is a DNIS, an ANI and a token')
end

local ends, by_token, match, end_call = include('ends'), include('by_token'), include('match'), include('end_call')
local now = include('clock')()
local now_text = string.format('%.0f', now)
local tally = include('tally')(stats, stats_prefix, now)

-- What ends the call, as a function, its token, when it was leased and the ms left to it; nil and what became of it.
local function ending(dnis, ani, token)
  local callers, of_number, of_gone = callers_prefix .. dnis, call_prefix .. dnis .. ':', gone_prefix .. dnis .. ':'
  local grade, found
  if ani == '*' then
    grade, found = by_token(of_number, callers, of_gone, token, most_callers)
  else
    grade, found = match(of_number, callers, of_gone, ani, 'exact', 1, most_callers, now)
  end
  if not grade or grade == 'gone' then
    return nil, found or ''
  end
  local held = redis.call('HMGET', of_number .. found, 'lessee', 'token', 'leased_ms', 'lessee', 'reply')
  if token ~= '' and held[2] ~= token then
    return nil, ''
  end
  local stay = ends(callers, of_number, found, most_callers, now_text)
  local end_it, left = end_call(numbers, shared, pending, callers, of_number, of_gone, live_prefix,
    reply_prefix, dnis, found, held, stay, rest_ms, pair_rest_ms, gone_ms, now, now_text, found, ' released')
  return end_it, held[2], held[3], left
end

-- All that may fail is read before the first write, and again before each: two of the calls may be on one number.
for at = 1, #calls, 3 do
  ending(calls[at], calls[at + 1], calls[at + 2])
end

local reply = {}
for at = 1, #calls, 3 do
  local end_it, told, leased_ms, left = ending(calls[at], calls[at + 1], calls[at + 2])
  reply[#reply + 1] = told
  if end_it then
    end_it()
    tally('released', 1)
    tally('held_ms', 0 - left, leased_ms)
  end
end
return reply
