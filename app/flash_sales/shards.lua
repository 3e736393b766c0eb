-- For hold.lua and install.lua, and put before them by Script: in which of a pool's shards what is kept.
-- KEYS   config, over, waiting, then `SHARDS` of holds, of live and of buyers, as in hold.lua
-- ARGV   not looked at
-- Result none: it defines the lists of these keys, shard_of(place) and shard_of_person(person)
-- Closes no race of its own.

local SHARDS = (#KEYS - 3) / 3
local FIRST_SHARD = string.byte('a')
-- Of 256: each is the last times the sixth root of two (gate_wire.py).
local SHARE_OF = string.rep('\1', 31) .. string.rep('\2', 35) .. string.rep('\3', 40) .. string.rep('\4', 44)
    .. string.rep('\5', 50) .. string.rep('\6', 56)

local holds_keys, live_keys, buyers_keys = {}, {}, {}
for i = 1, SHARDS do
    holds_keys[i], live_keys[i], buyers_keys[i] = KEYS[3 + i], KEYS[3 + SHARDS + i], KEYS[3 + 2 * SHARDS + i]
end

-- A place says it by its first character; one that is made otherwise is in the first.
local function shard_of(place)
    local shard = string.byte(place) - FIRST_SHARD + 1
    return shard >= 1 and shard <= SHARDS and shard or 1
end

-- A person's id is random at its end.
local function shard_of_person(person)
    local a, b, c = string.byte(person, -3, -1)
    local mixed = ((a or 0) * 7919 + (b or 0) * 104729 + (c or 0) * 1299709) % 65521 % 256
    return string.byte(SHARE_OF, mixed + 1)
end
