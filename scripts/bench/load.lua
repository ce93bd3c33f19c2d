-- What wrk sends, and how it tells what it measured. Environment: BENCH_MODE (get, post, handoff), BENCH_PATHS (a file
-- with one path to GET a line), BENCH_AUTHORIZATION, BENCH_CLOSE (1: each request on a connection of its own),
-- BENCH_VALUE (the JSON of the value to POST).

local mode, close = os.getenv('BENCH_MODE'), os.getenv('BENCH_CLOSE') == '1'
local ready, at = {}, 0
local taken, fresh = {}, 0
local delete_tail

local function posts(headers, extra)
  headers['Content-Type'] = 'application/json'
  for number = 1, 512 do
    local body = string.format('{"value":%s,"ani":"2%09d"%s}', os.getenv('BENCH_VALUE'), number * 7919, extra)
    ready[number] = wrk.format('POST', '/cticache/DNIS-ANI', headers, body)
  end
end

function init()
  local headers = {['Authorization'] = os.getenv('BENCH_AUTHORIZATION'), ['Accept'] = 'application/json'}
  if close then
    headers['Connection'] = 'close'
  end
  if mode == 'get' then
    for path in io.lines(os.getenv('BENCH_PATHS')) do
      ready[#ready + 1] = wrk.format('GET', path, headers)
    end
  elseif mode == 'post' then
    posts(headers, '')
  else
    delete_tail = wrk.format('DELETE', '/', headers):match('^DELETE /( .*)$')
    posts(headers, ',"ttl":30')
  end
end

function request()
  if fresh > 0 then
    local path = taken[fresh]
    fresh = fresh - 1
    return 'DELETE ' .. path .. delete_tail
  end
  at = at % #ready + 1
  return ready[at]
end

-- wrk tells no connection from another here: whichever sends next takes what was leased last.
if mode == 'handoff' then
  function response(_, headers)
    local location = headers['Location'] or headers['location']
    if location then
      fresh = fresh + 1
      taken[fresh] = location
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('BENCH %d %d %d %d %d %d %d %d %d\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.connect, errors.read, errors.write, errors.status,
    errors.timeout))
end
