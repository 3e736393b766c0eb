-- Changes the configuration of one pool's gate to what Postgres says, or takes free units out of it.
--
-- KEYS  1 config (hash, as in hold.lua)
-- ARGV  1 what, 2 epoch, then
--         "set"     3 price, 4 limit, 5 starts, 6 ends, 7 state, 8 label, 9 allotment
--         "shrink"  3 units
--         "close"   (nothing)
--         "look"    (nothing) whether the gate is in place
-- RESULT  "done" · "stale" (the gate is missing, of another epoch or of another server: rebuild it) · "short" (fewer
--         than `units` are free; with "close": a hold is open)
--
-- The race it closes: a hold granted between the look at the free units and their move to another pool. All values
-- of "set" are absolute, so saying them twice changes nothing; its callers hold the pool's row in Postgres.

local key, what, epoch = KEYS[1], ARGV[1], ARGV[2]
local config = redis.call('HMGET', key, 'epoch', 'left', 'held', 'allotment', 'n', 'price', 'label', 'server')
if config[1] ~= epoch or config[8] ~= this_server() then
    return 'stale'
end
local left, held, allotment, n = tonumber(config[2]), tonumber(config[3]), tonumber(config[4]), tonumber(config[5])

if what == 'set' then
    local change = tonumber(ARGV[9]) - allotment
    redis.call('HSET', key, 'price', ARGV[3], 'limit', ARGV[4], 'starts', ARGV[5], 'ends', ARGV[6], 'state', ARGV[7],
        'label', ARGV[8])
    if change ~= 0 or config[6] ~= ARGV[3] or config[7] ~= ARGV[8] then
        -- n counts a new price too: the room takes a state only when its version is newer.
        redis.call('HSET', key, 'allotment', ARGV[9], 'left', left + change, 'n', n + 1)
    end
    return 'done'
end

if what == 'look' then
    return 'done'
end

if what == 'shrink' then
    local units = tonumber(ARGV[3])
    if left < units then
        return 'short'
    end
    redis.call('HSET', key, 'allotment', allotment - units, 'left', left - units, 'n', n + 1)
    return 'done'
end

if what == 'close' then
    if held > 0 then
        return 'short'
    end
    redis.call('HSET', key, 'state', 'closed')
    return 'done'
end

return redis.error_reply('unknown change ' .. what)
