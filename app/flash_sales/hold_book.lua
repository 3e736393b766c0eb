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

local config_key, holds_key, live_key, buyers_key, over_key, waiting_key = unpack(KEYS)
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

local place_from = #config_key - 12  -- {pool:<pool>}:config is as much longer than <pool>-
local place_to = place_from + 19

local function place_of(id)
    return #id > place_to and string.sub(id, place_from, place_to) or id
end

local function hold_at(place)
    local hold = hold_of[place]
    if hold == nil then
        local packed = packed_of[place]
        if packed == nil then
            packed = redis.call('HGET', holds_key, place)
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
    units_of[person] = units_of[person] or tonumber(redis.call('HGET', buyers_key, person) or 0)
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

local function write(command, key, args)
    for i = 1, #args, WRITE_MAX do
        redis.call(command, key, unpack(args, i, math.min(i + WRITE_MAX - 1, #args)))
    end
end

local function write_holds()
    local records, live, over, places_over = {}, {}, {}, {}
    local last, last_text
    for place in pairs(changed) do
        records[#records + 1] = place
        records[#records + 1] = packed_of[place]
    end
    for place, expires in pairs(live_at) do
        if expires ~= last then
            last, last_text = expires, string.format('%.0f', expires)
        end
        live[#live + 1] = last_text
        live[#live + 1] = place
    end
    for place in pairs(over_now) do
        places_over[#places_over + 1] = place
        over[#over + 1] = now
        over[#over + 1] = place
    end
    write('HSET', holds_key, records)
    write('ZADD', live_key, live)
    write('ZREM', live_key, places_over)
    write('ZADD', over_key, over)
    changed, live_at, over_now = {}, {}, {}
end

local function write_buyers()
    local some, none = {}, {}
    for person in pairs(recounted) do
        if units_of[person] > 0 then
            some[#some + 1] = person
            some[#some + 1] = units_of[person]
        else
            none[#none + 1] = person
        end
    end
    write('HSET', buyers_key, some)
    write('HDEL', buyers_key, none)
end

local function read_ahead()
    local places, persons = {}, {}
    for _, op in ipairs(ops) do
        if op[1] == 'take' then
            persons[#persons + 1] = op[3]
        end
        if op[1] == 'give_back' then
            places[#places + 1] = op[2]
        elseif op[2] then
            places[#places + 1] = place_of(op[2])
        end
    end
    if #places > 0 then
        local records = redis.call('HMGET', holds_key, unpack(places))
        for i = 1, #places do
            packed_of[places[i]] = records[i]
        end
    end
    if #persons > 0 then
        local units = redis.call('HMGET', buyers_key, unpack(persons))
        for i = 1, #persons do
            units_of[persons[i]] = tonumber(units[i] or 0)
        end
    end
end

local function forget_old()
    local old = redis.call('ZRANGEBYSCORE', over_key, '-inf', now - KEEP_MS, 'LIMIT', 0, FORGET_MAX)
    write('HDEL', holds_key, old)
    write('ZREM', over_key, old)
end

local function expire_due()
    local places = redis.call('ZRANGEBYSCORE', live_key, '-inf', now, 'LIMIT', 0, EXPIRE_MAX)
    for _, place in ipairs(places) do
        local hold = hold_at(place)
        end_hold(hold, 'expired')
        ended[#ended + 1] = hold
    end
end

local function first_due()
    local first = redis.call('ZRANGE', live_key, 0, 0, 'WITHSCORES')
    return tonumber(first[2] or NEVER)
end
