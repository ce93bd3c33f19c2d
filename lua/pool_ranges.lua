#!lua flags=no-writes
-- pool_ranges -- the numbers of a pool that were put in place last, as ranges.
--
-- KEYS[1]  synced         string  fingerprint of the numbers, which are all in place; with 'syncing:' before it, of
--                                 those that are being put in place
-- KEYS[2]  in_place       string  the numbers that were in place last, as ranges; absent where that is too long
-- KEYS[3]  ranges_prefix  prefix  of nothing, so that no node of a Cluster runs this while the slot is moved
--
-- Writes    nothing
-- Includes  nothing
--
-- Returns  {what synced is or '', what in_place is or ''}: the ranges are of the numbers with that fingerprint, or of
--          those before while others are being put in place.
-- Errors   nothing

local synced, in_place, ranges_prefix = KEYS[1], KEYS[2], KEYS[3] -- luacheck: ignore ranges_prefix

return {redis.call('GET', synced) or '', redis.call('GET', in_place) or ''}
