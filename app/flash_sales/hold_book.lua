-- For hold.lua, and put before it by Script: the pool as it is and what this batch makes of it.
-- KEYS   those of hold.lua
-- ARGV   that of hold.lua
-- Result none: it defines the pool's counters, its holds and its buyers as Lua tables, and what writes them back;
--        where the gate must be rebuilt it returns hold.lua's answer with epoch 0
-- Closes no race of its own: all of it is one step of hold.lua's.
--
-- What a batch needs is read in a few commands before, what it changes is written in a few commands after: a command
-- for many costs half of many commands. In between, everything is decided on Lua tables. `due` spares most calls the
-- look for what is overdue: no hold ends before it.

local KEEP_MS = 3600000
local EXPIRE_MAX = 256
local FORGET_MAX = 64
local FORGET_EVERY = 16
local WRITE_MAX = 1000  -- arguments of one command; some thousands do not fit on Lua's stack
local NEVER = 9007199254740992
-- MessagePack's own bytes: records are packed once, for Valkey and for the answer.
local ARRAY_OF_3, ARRAY_OF_11, ARRAY_OF_12, ARRAY_16, FALSE = '\147', '\155', '\156', '\220', '\194'

local config_key, over_key, waiting_key = unpack(KEYS, 1, 3)
local ops = cmsgpack.unpack(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local config = redis.call('HMGET', config_key, 'epoch', 'n', 'left', 'held', 'sold', 'allotment', 'price', 'limit',
    'starts', 'ends', 'state', 'label', 'server', 'due')
if not config[1] or config[13] ~= this_server() then
    return cmsgpack.pack({now, 0, 0, 0, 0, 0, 0, '', '', {}, {}})
end
local epoch, n = tonumber(config[1]), tonumber(config[2])
local left, held, sold = tonumber(config[3]), tonumber(config[4]), tonumber(config[5])
local allotment, price, limit = tonumber(config[6]), tonumber(config[7]), tonumber(config[8])
local starts, ends, state, label = tonumber(config[9]), tonumber(config[10]), config[11], config[12]
local due = tonumber(config[14] or 0)
local was_left, was_held, was_sold, was_due = left, held, sold, due
local ended = {}

local STATE, PERSON, QUANTITY, PRICE, EXPIRES, FIRST_EXPIRES, GRANTED, KEY, BODY, SHOW, ATTEMPT, HOLD =
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12

local packed_of, units_of = {}, {}  -- as they are now; false: known not to be there
local hold_of = {}  -- what was unpacked of them
local changed, live_at, over_now, recounted = {}, {}, {}, {}  -- what differs from what Valkey has

local place_from = #config_key - 10  -- {pool:<pool>}:gate is as much longer than <pool>-
local place_to = place_from + 19

local function place_of(id)
    return #id > place_to and string.sub(id, place_from, place_to) or id
end

local function hold_at(place)
    local hold = hold_of[place]
    if hold == nil then
        local packed = packed_of[place]
        if packed == nil then
            packed = redis.call('HGET', holds_keys[shard_of(place)], place)
            packed_of[place] = packed
        end
        hold = packed and cmsgpack.unpack(packed)
        hold_of[place] = hold
    end
    return hold
end

local function find_hold(id)
    local hold = hold_at(place_of(id))
    return hold and hold[HOLD] == id and hold
end

local function save_hold(place, hold)
    hold_of[place], packed_of[place], changed[place] = hold, cmsgpack.pack(hold), true
    if hold[STATE] == 'held' then
        live_at[place] = hold[EXPIRES]
        due = math.min(due, hold[EXPIRES])
    end
end

local function units_held_by(person)
    if not units_of[person] then
        units_of[person] = tonumber(redis.call('HGET', buyers_keys[shard_of_person(person)], person) or 0)
    end
    return units_of[person]
end

local function count_buyer(person, units)
    units_of[person] = units_held_by(person) + units
    recounted[person] = true
end

-- Every hold leaves the state `held` here and nowhere else.
local function end_hold(hold, how)
    local place = place_of(hold[HOLD])
    hold[STATE] = how
    hold[ATTEMPT] = ''
    held = held - hold[QUANTITY]
    if how == 'confirmed' then
        sold = sold + hold[QUANTITY]
    else
        left = left + hold[QUANTITY]
        count_buyer(hold[PERSON], -hold[QUANTITY])
    end
    save_hold(place, hold)
    live_at[place], over_now[place] = nil, true
end

-- Says a command for each of `shards`, lists of arguments by the number of their shard.
local function write(command, keys, shards)
    for shard, args in pairs(shards) do
        for i = 1, #args, WRITE_MAX do
            redis.call(command, keys[shard], unpack(args, i, math.min(i + WRITE_MAX - 1, #args)))
        end
    end
end

local function list_in(shards, shard)
    local list = shards[shard]
    if not list then
        list = {}
        shards[shard] = list
    end
    return list
end

local function write_holds()
    local records, live, ends, over = {}, {}, {}, {}
    local last, last_text
    for place in pairs(changed) do
        local list = list_in(records, shard_of(place))
        list[#list + 1] = place
        list[#list + 1] = packed_of[place]
    end
    for place, expires in pairs(live_at) do
        if expires ~= last then
            last, last_text = expires, string.format('%.0f', expires)
        end
        local list = list_in(live, shard_of(place))
        list[#list + 1] = last_text
        list[#list + 1] = place
    end
    for place in pairs(over_now) do
        local list = list_in(ends, shard_of(place))
        list[#list + 1] = place
        over[#over + 1] = now
        over[#over + 1] = place
    end
    write('HSET', holds_keys, records)
    write('ZADD', live_keys, live)
    write('ZREM', live_keys, ends)
    write('ZADD', {over_key}, {over})
    changed, live_at, over_now = {}, {}, {}
end

local function write_buyers()
    local some, none = {}, {}
    for person in pairs(recounted) do
        local shard = shard_of_person(person)
        if units_of[person] > 0 then
            local list = list_in(some, shard)
            list[#list + 1] = person
            list[#list + 1] = units_of[person]
        else
            local list = list_in(none, shard)
            list[#list + 1] = person
        end
    end
    write('HSET', buyers_keys, some)
    write('HDEL', buyers_keys, none)
end

local function read_ahead()
    local places, persons = {}, {}
    local function will_see(place)
        local list = list_in(places, shard_of(place))
        list[#list + 1] = place
    end
    for _, op in ipairs(ops) do
        if op[1] == 'sold' then
            for _, id in ipairs(op[2]) do
                will_see(place_of(id))
            end
        elseif op[2] then
            will_see(op[1] == 'give_back' and op[2] or place_of(op[2]))
            if op[1] == 'take' then
                local list = list_in(persons, shard_of_person(op[3]))
                list[#list + 1] = op[3]
            end
        end
    end
    for shard, list in pairs(places) do
        local records = redis.call('HMGET', holds_keys[shard], unpack(list))
        for i = 1, #list do
            packed_of[list[i]] = records[i]
        end
    end
    for shard, list in pairs(persons) do
        local units = redis.call('HMGET', buyers_keys[shard], unpack(list))
        for i = 1, #list do
            units_of[list[i]] = tonumber(units[i] or 0)
        end
    end
end

local function forget_old()
    local old = redis.call('ZRANGEBYSCORE', over_key, '-inf', now - KEEP_MS, 'LIMIT', 0, FORGET_MAX)
    local places = {}
    for _, place in ipairs(old) do
        local list = list_in(places, shard_of(place))
        list[#list + 1] = place
    end
    write('HDEL', holds_keys, places)
    write('ZREM', {over_key}, {old})
end

local function expire_due()
    for _, live_key in ipairs(live_keys) do
        local places = redis.call('ZRANGEBYSCORE', live_key, '-inf', now, 'LIMIT', 0, EXPIRE_MAX - #ended)
        for _, place in ipairs(places) do
            local hold = hold_at(place)
            end_hold(hold, 'expired')
            ended[#ended + 1] = hold
        end
    end
end

local function first_due()
    local due = NEVER
    for _, live_key in ipairs(live_keys) do
        local first = redis.call('ZRANGE', live_key, 0, 0, 'WITHSCORES')
        due = math.min(due, tonumber(first[2] or NEVER))
    end
    return due
end
