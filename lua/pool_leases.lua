#!lua flags=no-writes
-- pool_leases -- one page of a pool's live leases, of one user or of all, in the order in which they end.
--
-- The place in that order, not an offset, says where a page begins: whatever else ends, is taken or leased meanwhile, a
-- lease that lives through all pages, and whose end is not set anew, is on one of them. The calls of one number that
-- end in the same ms are always on one page; so the number is enough to tell the place, and no ANI is needed.
--
-- KEYS[1]  lessees       zset    user -> time (ms) since when there is a live:<user>
-- KEYS[2]  live_prefix   prefix  of live:<user>, a zset: dnis:ani -> time (ms) at which it ends
-- KEYS[3]  call_prefix   prefix  of call:<dnis>:<ani>, a hash: value, token, leased_ms, lessee
-- KEYS[4]  pending       zset    dnis:ani -> time (ms) at which it ends, until somebody asks for it
-- ARGV[1]  user          whose leases; '' for all
-- ARGV[2]  dnis          on which number; '' for any
-- ARGV[3]  older_ms      how long ago they were leased at least, integer >= 0; one of a time that has not come yet, by
--                        a clock that was set back since, was leased just now
-- ARGV[4]  after_ms      the page before ended with a number whose calls end at this time (ms), 0: none, integer >= 0
-- ARGV[5]  after_dnis    and this is the number
-- ARGV[6]  limit         most leases told, but for more on the last number, integer > 0
-- ARGV[7]  most_looked   most leases looked at, but for more on the last number, integer > 0
-- ARGV[8]  most_lessees  most users whose leases are looked for, integer > 0
--
-- Writes    nothing
-- Includes  whole, clock
--
-- The live and call keys are built here because the script finds the users and the calls.
--
-- Returns  {now (ms), after_ms, after_dnis, dnis, ani, user, leased_ms, end_ms, token, asked, ...}, seven for each
--          lease; asked is 1 when anybody has asked for it, else 0; after_ms is 0 when this is the last page. A page
--          may be short, or empty, and not be the last.
-- Errors   BADARG  a number in ARGV is not an integer in its range.

local lessees, live_prefix, call_prefix, pending = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local user, dnis, older_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local after_ms, after_dnis = tonumber(ARGV[4]), ARGV[5]
local limit, most_looked, most_lessees = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local whole = include('whole')

if not (whole(older_ms, 0) and whole(after_ms, 0) and whole(limit, 1) and whole(most_looked, 1)
  and whole(most_lessees, 1)) then
  return redis.error_reply('BADARG a number is not an integer in its range')
end

local now = include('clock')()

-- Whether a text stands before another in a zset, where bytes are compared; Lua's own < goes by the server's locale.
local function is_before(one, other)
  for at = 1, math.min(#one, #other) do
    local its, others = one:byte(at), other:byte(at)
    if its ~= others then
      return its < others
    end
  end
  return #one < #other
end

local function number_of(member)
  return member:match('^[^:]*')
end

-- From which place in a user's zset to read on.
local function first_in(live)
  local from = redis.call('ZCOUNT', live, '-inf', string.format('%.0f', now))
  if after_ms <= now then
    return from
  end
  local first, last = redis.call('ZCOUNT', live, '-inf', string.format('(%.0f', after_ms)),
    redis.call('ZCOUNT', live, '-inf', string.format('%.0f', after_ms))
  local behind = after_dnis .. ';' -- the character after the colon
  while first < last do
    local middle = math.floor((first + last) / 2)
    if is_before(redis.call('ZRANGE', live, middle, middle)[1], behind) then
      first = middle + 1
    else
      last = middle
    end
  end
  return first
end

local function comes_before(one, other)
  if one.ends ~= other.ends then
    return one.ends < other.ends
  end
  return is_before(one.member, other.member)
end

local function on_one(one, other)
  return one.ends == other.ends and number_of(one.member) == number_of(other.member)
end

-- The user's next leases; and how many of them are sure to be whole numbers' calls, nil if no more leases follow.
local function next_of(lessee, count)
  local live, found = live_prefix .. lessee, {}
  local from = first_in(live)
  while true do
    local listed = redis.call('ZRANGE', live, from, from + count - 1, 'WITHSCORES')
    for at = 2 * #found + 1, #listed, 2 do
      found[#found + 1] = {member = listed[at], ends = tonumber(listed[at + 1]), lessee = lessee}
    end
    if #found < count then
      return found
    end
    local whole_ones = #found
    while whole_ones > 0 and on_one(found[whole_ones], found[#found]) do
      whole_ones = whole_ones - 1
    end
    if whole_ones > 0 then
      return found, whole_ones
    end
    count = 2 * count
  end
end

local users = user ~= '' and {user} or redis.call('ZRANGE', lessees, 0, most_lessees - 1)
local each = math.ceil(most_looked / math.max(#users, 1)) + 4
local all, horizon = {}, nil -- beyond the horizon some user's leases are not known
for _, lessee in ipairs(users) do
  local found, whole_ones = next_of(lessee, each)
  for at = 1, whole_ones or #found do
    all[#all + 1] = found[at]
  end
  local last = whole_ones and found[whole_ones]
  if last and (not horizon or comes_before(last, horizon)) then
    horizon = last
  end
end
table.sort(all, comes_before)

local reply, told, looked, last = {now, 0, ''}, 0, 0, nil
for _, lease in ipairs(all) do
  local is_next = not last or not on_one(lease, last)
  local is_beyond = horizon and comes_before(horizon, lease) and not on_one(lease, horizon)
  if is_next and (told >= limit or looked >= most_looked or is_beyond) then
    reply[2], reply[3] = last.ends, number_of(last.member)
    return reply
  end
  last, looked = lease, looked + 1
  local number = number_of(lease.member)
  if dnis == '' or dnis == number then
    local held = redis.call('HMGET', call_prefix .. lease.member, 'token', 'lessee', 'leased_ms')
    local leased_ms = tonumber(held[3])
    -- Where the clock was set back, what is over may be listed still, and another user may have it by now.
    if held[2] == lease.lessee and math.max(now - leased_ms, 0) >= older_ms then
      told = told + 1
      for _, text in ipairs({number, lease.member:sub(#number + 2), lease.lessee, leased_ms, lease.ends, held[1],
        redis.call('ZSCORE', pending, lease.member) and 0 or 1}) do
        reply[#reply + 1] = text
      end
    end
  end
end
if horizon then
  reply[2], reply[3] = horizon.ends, number_of(horizon.member)
end
return reply
