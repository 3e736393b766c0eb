-- Puts a gate that was rebuilt from Postgres in place, under its new epoch.
--
-- KEYS  as in hold.lua
-- ARGV  1 epoch, 2 MessagePack {left, held, sold, allotment, price, limit, starts, ends, state, label},
--       3 MessagePack array of records (units in open payment attempts), 4 MessagePack array of {person, units}
-- RESULT  "done" or "stale": a gate of this or a later epoch is already in place.
--
-- The race it closes: two rebuilds whose transactions committed in one order and whose scripts arrive in the other.
-- The configuration is written last, with the server that it was written under: a gate without one decides nothing.

local config_key, over_key = unpack(KEYS, 1, 2)
local epoch = tonumber(ARGV[1])
local there = tonumber(redis.call('HGET', config_key, 'epoch') or 0)
if there >= epoch then
    return 'stale'
end
redis.call('DEL', config_key, over_key, unpack(KEYS, 4))
local place_from = #config_key - 10  -- as in hold.lua
for _, record in ipairs(cmsgpack.unpack(ARGV[3])) do
    local id = record[12]
    local place = #id > place_from + 19 and string.sub(id, place_from, place_from + 19) or id
    local shard = shard_of(place)
    redis.call('HSET', holds_keys[shard], place, cmsgpack.pack(record))
    redis.call('ZADD', live_keys[shard], record[5], place)
end
for _, entry in ipairs(cmsgpack.unpack(ARGV[4])) do
    redis.call('HSET', buyers_keys[shard_of_person(entry[1])], entry[1], entry[2])
end
local c = cmsgpack.unpack(ARGV[2])
redis.call('HSET', config_key, 'epoch', epoch, 'n', 0, 'left', c[1], 'held', c[2], 'sold', c[3], 'allotment', c[4],
    'price', c[5], 'limit', c[6], 'starts', c[7], 'ends', c[8], 'state', c[9], 'label', c[10],
    'server', this_server())
return 'done'
