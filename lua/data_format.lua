#!lua flags=no-writes
-- data_format -- the format of the data, as service_look keeps it.
--
-- KEYS[1]  format         hash    of the data: format, least_reader, release; absent: both 1
-- KEYS[2]  format_prefix  prefix  of nothing, so that no node of a Cluster runs this while the slot is moved
--
-- Writes    nothing
-- Includes  nothing
--
-- Returns  {format, least_reader, release, '' for data without a number}.

local format, format_prefix = KEYS[1], KEYS[2] -- luacheck: ignore format_prefix

local kept = redis.call('HMGET', format, 'format', 'least_reader', 'release')
return {tonumber(kept[1] or 1), tonumber(kept[2] or 1), kept[3] or ''}
