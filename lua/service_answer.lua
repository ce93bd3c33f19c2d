#!lua flags=allow-oom
-- service_answer -- tell whoever has asked a service to read its configuration again what became of that.
--
-- KEYS[1]  services        zset    id of a service -> time (ms) at which it was started
-- KEYS[2]  service_prefix  prefix  of service:<id>, a hash for as long as it lives: .., asked, answered, answer
-- ARGV[1]  service         its id
-- ARGV[2]  asked           the question that is answered
-- ARGV[3]  answer          text, not empty
--
-- Writes    service_prefix
-- Includes  nothing
--
-- Returns  1; 0 if the service is not registered, and nobody can be told.

local services, service_prefix = KEYS[1], KEYS[2]
local service, asked, answer = ARGV[1], ARGV[2], ARGV[3]

local own = service_prefix .. service
if not redis.call('ZSCORE', services, service) or redis.call('EXISTS', own) == 0 then
  return 0
end
redis.call('HSET', own, 'answered', asked, 'answer', answer)
return 1
