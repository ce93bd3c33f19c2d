#!lua
-- pool_sync -- bring the numbers of a pool in line with the configuration, in bounded steps, live leases untouched.
--
-- A service that rules (pool_claim) runs begin; if that returns 0, it runs drop for what is no longer configured, add
-- for the numbers that are missing, and finish. What is to be dropped is known from the ranges that begin returns, if
-- these have the fingerprint that was in place, and as many numbers as there are; else from list, which is run until
-- the cursor is 0 again. A number that is dropped with live calls moves to leaving: it is not leased, but its calls
-- can still be asked for. Before another pool adds it, promise says until when. `synced` is the bare fingerprint only
-- while nothing is left to do. Once another sync has begun, the steps of this one do nothing: two configurations are
-- never mixed. A pool that is no longer configured is one without numbers; once nothing is left in it, erase removes
-- the keys that never expire.
--
-- KEYS[1]  numbers         zset    DNIS -> time (ms) from which it may be leased again
-- KEYS[2]  shared          zset    DNIS -> time (ms) until which it has more than one live caller
-- KEYS[3]  leaving         zset    DNIS no longer leased -> time (ms) until which its calls may be asked for
-- KEYS[4]  promised        zset    DNIS -> time (ms) from which another pool was told that it may lease it
-- KEYS[5]  synced          string  fingerprint of the numbers, which are all in place; with 'syncing:' before it, of
--                                  those that are being put in place
-- KEYS[6]  in_place        string  the numbers that were in place last, as ranges; absent where that is too long
-- KEYS[7]  pending         zset    dnis:ani -> time (ms) at which it ends, until somebody asks for it
-- KEYS[8]  stats           hash    counters
-- KEYS[9]  callers_prefix  prefix  of callers:<dnis>, a zset: ANI -> time (ms) at which its lease ends
-- ARGV[1]  step            'begin', 'list', 'drop', 'add', 'finish', 'leaving', 'promise', 'withdraw' or 'erase'
-- ARGV[2]  fingerprint     of the configured numbers; leaving: ignored
-- ARGV[3]  cursor          list: 0 to start, then what it returned; leaving: time (ms) from which to list
-- ARGV[4]  count           begin: how many numbers are configured; list, leaving: about how many to list
-- ARGV[5]  rest_ms         add: rest of a number after its last call
-- ARGV[6]  pair_rest_ms    drop: rest of a number for the ANI of a call after that call
-- ARGV[7]  free_ms         add: time (ms) before which none of these numbers may be leased, or 0
-- ARGV[8]  skip            leaving: how many to pass over, or 0
-- ARGV[9]  ranges          finish: the numbers as ranges; '' where that is too long
-- ARGV[10...]  dnises      drop: numbers to drop; add: numbers to add; promise: those that another pool is to add;
--                          withdraw: those that none is to add any more
--
-- Writes    numbers, shared, leaving, promised, synced, in_place, pending, stats
-- Includes  whole, ms, expire_with_last, clock
--
-- Returns  begin: {1 all in place or 0 work to do, 1 if any number is leaving, else 0}, after a 0 also how many numbers
--          there are, what synced was or '', and what in_place is or ''; list: {next cursor, DNIS, ...}; drop: how many
--          went; add: how many were new; finish: 1; any of these four: nil when another sync has begun since; leaving,
--          promise: {DNIS, time (ms), ...}; erase: 1 nothing is left, 0 something is.
-- Errors   BADARG  the step is none of these, or one of the numbers is not an integer >= 0.

local numbers, shared, leaving, promised, synced = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local in_place, pending, stats, callers_prefix = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local step, fingerprint, cursor, count = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local rest_ms, pair_rest_ms, free_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local skip, ranges, dnises = tonumber(ARGV[8]), ARGV[9], {unpack(ARGV, 10)}

local whole, ms, expire_with_last = include('whole'), include('ms'), include('expire_with_last')
local now = include('clock')()

-- The ends of the number's last lease and of the one before; nil when it had none of late. A listed caller counts here
-- even if its call key is gone: too long a rest harms nobody.
local function last_ends(dnis)
  local ends = redis.call('ZRANGE', callers_prefix .. dnis, 0, 1, 'REV', 'WITHSCORES')
  return ends[2] and math.max(tonumber(ends[2]), now), ends[4] and tonumber(ends[4])
end

local under_way = 'syncing:' .. fingerprint

-- Whether this sync is still the one that counts. A twin, another service with the same numbers, may have finished it.
local function counts()
  local present = redis.call('GET', synced)
  return present == under_way or present == fingerprint
end

local steps = {}

function steps.begin()
  local present, size = redis.call('GET', synced), redis.call('ZCARD', numbers)
  redis.call('ZREMRANGEBYSCORE', leaving, '-inf', ms(now))
  local any_leaving = redis.call('EXISTS', leaving)
  if size == count and (present == fingerprint or not present and count == 0) then
    return {1, any_leaving}
  end
  local before = redis.call('GET', in_place)
  redis.call('SET', synced, under_way)
  return {0, any_leaving, size, present or '', before or ''}
end

function steps.drop()
  local gone = 0
  redis.call('ZCARD', shared)
  for _, dnis in ipairs(dnises) do
    local ended = last_ends(dnis)
    if ended and redis.call('ZSCORE', numbers, dnis) then
      redis.call('ZADD', leaving, ms(ended + pair_rest_ms), dnis)
      expire_with_last(leaving)
    end
    gone = gone + redis.call('ZREM', numbers, dnis)
    redis.call('ZREM', shared, dnis)
  end
  return gone
end

function steps.list()
  local page = redis.call('ZSCAN', numbers, cursor, 'COUNT', count)
  local listed = {page[1]}
  for i = 1, #page[2], 2 do
    listed[#listed + 1] = page[2][i]
  end
  return listed
end

function steps.add()
  local new = 0
  redis.call('ZCARD', shared)
  local any_leaving, any_promised = redis.call('EXISTS', leaving) == 1, redis.call('EXISTS', promised) == 1
  for _, dnis in ipairs(dnises) do
    local ended, before = last_ends(dnis)
    local added = redis.call('ZADD', numbers, 'NX', ms(math.max(ended and ended + rest_ms or 0, free_ms)), dnis)
    new = new + added
    if added == 1 and before and before > now then
      redis.call('ZADD', shared, ms(before), dnis)
      expire_with_last(shared)
    end
    if any_leaving then
      redis.call('ZREM', leaving, dnis)
    end
    if any_promised then
      redis.call('ZREM', promised, dnis)
    end
  end
  return new
end

function steps.finish()
  redis.call('SET', synced, fingerprint)
  if ranges ~= '' then
    redis.call('SET', in_place, ranges)
  else
    redis.call('DEL', in_place)
  end
  return 1
end

function steps.leaving()
  local from = math.max(now, tonumber(cursor))
  return redis.call('ZRANGE', leaving, ms(from), '+inf', 'BYSCORE', 'LIMIT', skip, count, 'WITHSCORES')
end

-- Until when calls will live on those that are still leaving: from now on no renewal makes them live longer.
function steps.promise()
  local listed = {}
  for _, dnis in ipairs(dnises) do
    local ends = redis.call('ZSCORE', leaving, dnis)
    if ends then
      redis.call('ZADD', promised, ends, dnis)
      expire_with_last(promised)
      listed[#listed + 1] = dnis
      listed[#listed + 1] = ends
    end
  end
  return listed
end

function steps.withdraw()
  local withdrawn = 0
  for _, dnis in ipairs(dnises) do
    withdrawn = withdrawn + redis.call('ZREM', promised, dnis)
  end
  return withdrawn
end

function steps.erase()
  if redis.call('GET', synced) and not counts() or redis.call('EXISTS', numbers, leaving) > 0 then
    return 0
  end
  redis.call('UNLINK', synced, pending, stats)
  return 1
end

if not steps[step]
  or not (whole(tonumber(cursor), 0) and whole(count, 0) and whole(rest_ms, 0) and whole(pair_rest_ms, 0)
    and whole(free_ms, 0) and whole(skip, 0)) then
  return redis.error_reply('BADARG the step is unknown, or a number is not an integer >= 0')
end
local guarded = {list = true, drop = true, add = true, finish = true}
if guarded[step] and not counts() then
  return nil
end
return steps[step]()
