#!lua
-- pool_beat -- leave a sign of life beside a pool, and learn from the one that is there whether Redis lost anything.
--
-- Each service does so at each of its looks. A beat that is not there though this service saw it, or that is older
-- than this service left it one look before its last, shows that Redis came back empty or with an older state; one look
-- less is what a crash may cost a server that writes its file every second. While `lost` is there, the other scripts
-- are careful: lease and include/allowed.lua say how.
--
-- The first beat of a pool of which nothing was leased yet has the time in born_ms: what is counted, and every call
-- that is kept, is of the time since. lost_ms and loss are when the last loss was told, and its kind.
--
-- KEYS[1]  beat          hash    id, nth, ms, lost_ms, loss, born_ms; back while a clock set back is not seen to
-- KEYS[2]  lost          string  while Redis may have lost calls: 'empty', 'older' or 'ahead'
-- KEYS[3]  stats         hash    counters
-- KEYS[4]  stats_prefix  prefix  of stats:<hour>, a hash: the counters of one hour
-- ARGV[1]  known_id       of the beat as this service saw it last; '' when it has seen none
-- ARGV[2]  fresh_id       of a new beat if there is none, unique
-- ARGV[3]  least_nth      that the beat must have, as this service left it one look before its last; integer >= 0
-- ARGV[4]  last_nth       as this service left it with its last look, integer >= 0
-- ARGV[5]  known_ms       time (ms) of that, 0: it has left none; integer >= 0
-- ARGV[6]  after_loss_ms  how long to be careful after a loss, 0: not at all; integer >= 0
-- ARGV[7]  told           what this service has found: 'ahead' the clock jumped, 'back' it was set back and that is
--                         seen to, 'older' calls of other pools were lost; else ''
-- ARGV[8]  known_jumps    jumps of the clock that had been told when this service looked last before it found one. If
--                         more have been since, another service has told this one, and it is not counted again; care
--                         is taken anew all the same, for there may have been a second one; integer >= 0
--
-- Writes    beat, lost, stats, stats_prefix
-- Includes  whole, ms, clock, tally
--
-- Returns  {id, nth, now, last_ms, lost_ms, left_ms, kind, is_back, jumps}: the beat as it is from now on, and the
--          server's time; last_ms the time of the one before, 0 for none; lost_ms when the last loss was told, 0 for
--          never; left_ms for how long to be careful; kind of the loss that is told now, 'empty', 'older' or 'ahead',
--          or ''; is_back 1 when the clock was set back and that is to be seen to; jumps how many jumps have been told.
-- Errors   BADARG  a number in ARGV is not an integer >= 0, or told is none of these words.

local beat, lost, stats, stats_prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local known_id, fresh_id, least_nth, last_nth = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local known_ms, after_loss_ms, told, known_jumps = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])

local whole = include('whole')

if not (whole(least_nth, 0) and whole(last_nth, 0) and whole(known_ms, 0) and whole(after_loss_ms, 0)
  and whole(known_jumps, 0)) then
  return redis.error_reply('BADARG least_nth, last_nth, known_ms, after_loss_ms or known_jumps is not an integer >= 0')
end
if not ({[''] = true, ahead = true, back = true, older = true})[told] then
  return redis.error_reply("BADARG told must be 'ahead', 'back', 'older' or ''")
end

local ms = include('ms')
local now = include('clock')()
local tally = include('tally')(stats, stats_prefix, now)

local found = redis.call('HMGET', beat, 'id', 'nth', 'ms', 'lost_ms', 'back')
-- Beyond 2^53 or below 0 somebody else has written it, and it would come back as no integer.
local function kept(text)
  local number = tonumber(text)
  return whole(number, 0) and number <= 2^53 and number or 0
end

local id, nth, last_ms = found[1] or fresh_id, kept(found[2]), kept(found[3])
local lost_ms = kept(found[4])
local is_born = not found[1] and not redis.call('HGET', stats, 'leased')

local kind = ''
if told ~= 'back' and told ~= '' then
  kind = told
elseif known_id ~= '' and id ~= known_id and found[1] and last_ms < known_ms then
  kind = 'older' -- of a time before Redis came back empty
elseif known_id ~= '' and id ~= known_id and lost_ms < known_ms then
  kind = 'empty' -- if lost_ms is later, another service has told of it
elseif id == known_id and nth < least_nth then
  kind = 'older'
end
local jumps = kept(redis.call('HGET', stats, 'clock_jumps'))
local is_jump = (told == 'ahead' or told == 'back') and jumps <= known_jumps
local is_new = kind ~= '' and (kind ~= 'ahead' or is_jump)
local is_back = told ~= 'back' and (found[5] or last_ms > now + 1000)

-- Of two losses the one that asks for more care counts.
local careful = redis.call('GET', lost) == 'older' and 'older' or kind
local left = redis.call('PTTL', lost)

nth = math.max(nth, id == known_id and last_nth or 0) + 1
redis.call('HSET', beat, 'id', id, 'nth', ms(nth), 'ms', ms(now))
if is_born then
  redis.call('HSET', beat, 'born_ms', ms(now))
end
redis.call('PEXPIRE', beat, 691200000) -- eight days
if is_back then
  redis.call('HSET', beat, 'back', 1) -- until it is seen to, whoever does that
else
  redis.call('HDEL', beat, 'back')
end
if is_new then
  lost_ms = now
  redis.call('HSET', beat, 'lost_ms', ms(now), 'loss', kind)
  tally('losses', 1)
end
if is_jump then
  tally('clock_jumps', 1)
  jumps = jumps + 1
end
if after_loss_ms == 0 then
  redis.call('DEL', lost)
  left = 0
elseif kind ~= '' then
  redis.call('SET', lost, careful, 'PX', ms(after_loss_ms))
  left = after_loss_ms
elseif left > after_loss_ms then -- the clock was set back since
  redis.call('PEXPIRE', lost, ms(after_loss_ms))
  left = after_loss_ms
end
return {id, nth, now, last_ms, lost_ms, math.max(left, 0), is_new and kind or '', is_back and 1 or 0, jumps}
