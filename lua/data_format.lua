#!lua flags=no-writes
-- data_format -- the format of the data, as service_look keeps it.
--
-- KEYS[1]  format         hash    of the data: format, least_reader, release; absent: both 1
-- KEYS[2]  format_prefix  prefix  of nothing, so that no node of a Cluster runs this while the slot is moved
--
-- Writes    nothing
-- Includes  format_numbers
--
-- Returns  {format, least_reader, release, '' for data without a number}.
-- Errors   WRONGTYPE  format or least_reader is no number of a format.

local format, format_prefix = KEYS[1], KEYS[2] -- luacheck: ignore format_prefix

local kept = redis.call('HMGET', format, 'format', 'least_reader', 'release')
local kept_format, kept_least = include('format_numbers')(kept)
if not kept_format then
  return kept_least -- the error
end
return {kept_format, kept_least, kept[3] or ''}
