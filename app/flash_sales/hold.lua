-- Decides a batch of operations on the holds of one pool, in order, at one instant of this server's clock.
--
-- KEYS  1 config (hash)            epoch n left held sold allotment price limit starts ends state label
--                                  server
--       2 holds (hash)             hold id -> record
--       3 live (sorted set)        hold id -> expires_ms, for holds that are held
--       4 buyers (hash)            person -> units held or sold
--       5 keys (hash)              person \0 idempotency key -> hold id
--       6 over (sorted set)        hold id -> when it ended; its record and key are forgotten KEEP_MS later
--       7 waiting (string)         as in door.lua; needed by a take that pays at once
-- ARGV  1 operations, a MessagePack array of arrays:
--         {"take", hold, person, key, body, quantity, show, ttl_ms}; with {…, attempt, for_ms, total_max_ms} it is paid
--                 for at once: a take and an extend in one, for who has no admission, and in_line while somebody waits
--         {"release", hold, person}            person "" is the house itself
--         {"extend", hold, person, attempt, for_ms, total_max_ms, force}
--         {"resume", hold, attempt, give_back} the payment is over without an order; with give_back the hold too
--         {"confirm", hold}                    Postgres says the order stands
--         {"give_back", return, person, quantity, epoch}  units of an order came back; Postgres counted them in `epoch`
--         {"mend", hold, how, sha1, epoch}     "confirm" or "resume", unless record or epoch is another by now
--         {"read", hold, person}
--         {"clear"}                            releases all that no payment is open on
--         {"look"}
--       A record is {state, person, quantity, price, expires_ms, first_expires_ms, granted_ms, key, body, show,
--       attempt}, where attempt is "" unless a payment is in flight.
-- RESULT  MessagePack {now_ms, epoch, n, left, held, sold, allotment, state, label, ended, answers}: `ended` lists
--         {hold, record} of holds that expired or were cleared, an answer is {code, wait_ms, hold, record or false}.
--         epoch is 0 when the pool has no configuration, or one that was written under another server, whose tail may
--         be missing here: nothing was decided, the gate must be rebuilt.
--
-- What a batch needs is read in a few commands before, what it changes is written in a few commands after: a command
-- for many costs half of many commands. In between, everything is decided on Lua tables.
--
-- The race it closes: two buyers, or one buyer twice, asking for the last unit (or for the last of their limit), and
-- the clock passing an edge of the window or of a hold between a look and a write. Looking, deciding and writing are
-- one step here, and its time is one reading of TIME.

local KEEP_MS = 3600000
local EXPIRE_MAX = 256
local FORGET_MAX = 64
local WRITE_MAX = 1000  -- arguments of one command; some thousands do not fit on Lua's stack
-- MessagePack's own bytes: records are packed once, for Valkey and for the answer.
local ARRAY_OF_4, ARRAY_OF_11, ARRAY_16, FALSE = '\148', '\155', '\220', '\194'

local config_key, holds_key, live_key, buyers_key, keys_key, over_key, waiting_key = unpack(KEYS)
local ops = cmsgpack.unpack(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local config = redis.call('HMGET', config_key, 'epoch', 'n', 'left', 'held', 'sold', 'allotment', 'price', 'limit',
    'starts', 'ends', 'state', 'label', 'server')
if not config[1] or config[13] ~= this_server() then
    return cmsgpack.pack({now, 0, 0, 0, 0, 0, 0, '', '', {}, {}})
end
local epoch, n = tonumber(config[1]), tonumber(config[2])
local left, held, sold = tonumber(config[3]), tonumber(config[4]), tonumber(config[5])
local allotment, price, limit = tonumber(config[6]), tonumber(config[7]), tonumber(config[8])
local starts, ends, state, label = tonumber(config[9]), tonumber(config[10]), config[11], config[12]
local was_left, was_held, was_sold = left, held, sold
local ended = {}

local STATE, PERSON, QUANTITY, PRICE, EXPIRES, FIRST_EXPIRES, GRANTED, KEY, BODY, SHOW, ATTEMPT =
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11

local hold_of, packed_of, units_of, id_of_key = {}, {}, {}, {}  -- as they are now; false: known not to be there
local new_keys = {}
local changed, over_now, recounted = {}, {}, {}  -- sets of what differs from what Valkey has

local function load_hold(id)
    local hold = hold_of[id]
    if hold == nil then
        local packed = redis.call('HGET', holds_key, id)
        hold = packed and cmsgpack.unpack(packed)
        hold_of[id], packed_of[id] = hold, packed
    end
    return hold
end

local function save_hold(id, hold)
    hold_of[id], packed_of[id], changed[id] = hold, cmsgpack.pack(hold), true
end

local function count_buyer(person, units)
    units_of[person] = (units_of[person] or tonumber(redis.call('HGET', buyers_key, person) or 0)) + units
    recounted[person] = true
end

-- Every hold leaves the state `held` here and nowhere else.
local function end_hold(id, hold, how)
    hold[STATE] = how
    hold[ATTEMPT] = ''
    held = held - hold[QUANTITY]
    if how == 'confirmed' then
        sold = sold + hold[QUANTITY]
    else
        left = left + hold[QUANTITY]
        count_buyer(hold[PERSON], -hold[QUANTITY])
    end
    save_hold(id, hold)
    over_now[id] = true
end

local function write(command, key, args)
    for i = 1, #args, WRITE_MAX do
        redis.call(command, key, unpack(args, i, math.min(i + WRITE_MAX - 1, #args)))
    end
end

local function write_holds()
    local records, live, ids_over, over = {}, {}, {}, {}
    local last, last_text
    for id in pairs(changed) do
        local hold = hold_of[id]
        records[#records + 1] = id
        records[#records + 1] = packed_of[id]
        if hold[STATE] == 'held' then
            if hold[EXPIRES] ~= last then
                last, last_text = hold[EXPIRES], string.format('%.0f', hold[EXPIRES])
            end
            live[#live + 1] = last_text
            live[#live + 1] = id
        end
    end
    for id in pairs(over_now) do
        ids_over[#ids_over + 1] = id
        over[#over + 1] = now
        over[#over + 1] = id
    end
    write('HSET', holds_key, records)
    write('ZADD', live_key, live)
    write('ZREM', live_key, ids_over)
    write('ZADD', over_key, over)
    changed, over_now = {}, {}
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
    local fields, persons, ids = {}, {}, {}
    for _, op in ipairs(ops) do
        if op[1] == 'take' then
            fields[#fields + 1] = op[3] .. '\0' .. op[4]
            persons[#persons + 1] = op[3]
        elseif op[2] then
            ids[#ids + 1] = op[2]
        end
    end
    if #fields > 0 then
        local known = redis.call('HMGET', keys_key, unpack(fields))
        local units = redis.call('HMGET', buyers_key, unpack(persons))
        for i = 1, #fields do
            id_of_key[fields[i]] = known[i]
            units_of[persons[i]] = tonumber(units[i] or 0)
        end
    end
    if #ids > 0 then
        for i, packed in ipairs(redis.call('HMGET', holds_key, unpack(ids))) do
            hold_of[ids[i]], packed_of[ids[i]] = packed and cmsgpack.unpack(packed), packed
        end
    end
end

local function forget_old()
    local old = redis.call('ZRANGEBYSCORE', over_key, '-inf', now - KEEP_MS, 'LIMIT', 0, FORGET_MAX)
    for _, id in ipairs(old) do
        local hold = load_hold(id)
        if hold and hold[KEY] ~= '' then
            redis.call('HDEL', keys_key, hold[PERSON] .. '\0' .. hold[KEY])
        end
        redis.call('HDEL', holds_key, id)
        redis.call('ZREM', over_key, id)
    end
end

local function expire_due()
    local due = redis.call('ZRANGEBYSCORE', live_key, '-inf', now, 'LIMIT', 0, EXPIRE_MAX)
    for _, id in ipairs(due) do
        local hold = load_hold(id)
        end_hold(id, hold, 'expired')
        ended[#ended + 1] = {id, hold}
    end
end

local function answer(code, id, hold, wait_ms)
    return ARRAY_OF_4 .. cmsgpack.pack(code, wait_ms or 0, id or '') .. (hold and packed_of[id] or FALSE)
end

local some_wait

local function somebody_waits()
    if some_wait == nil then
        some_wait = tonumber(redis.call('GET', waiting_key) or 0) > 0
    end
    return some_wait
end

local act = {}

function act.take(op)
    local id, person, key, body, quantity, attempt = op[2], op[3], op[4], op[5], op[6], op[9]
    local field = person .. '\0' .. key
    local earlier = id_of_key[field]
    if earlier then
        local hold = load_hold(earlier)
        if hold[BODY] ~= body then
            return answer('mismatch', earlier)
        end
        return answer('same', earlier, hold)
    end
    if attempt and somebody_waits() then
        return answer('in_line')
    end
    if state ~= 'open' or (ends > 0 and now >= ends) then
        return answer('ended')
    end
    if now < starts then
        return answer('not_started', '', nil, starts - now)
    end
    if left <= 0 and held == 0 then
        return answer('sold_out')
    end
    if limit > 0 and units_of[person] + quantity > limit then
        return answer('over_limit')
    end
    if left <= 0 then
        return answer('all_held')
    end
    if left < quantity then
        return answer('stock_short')
    end
    local first_expires = now + op[8]
    local expires = attempt and math.max(first_expires, now + math.min(op[10], op[11])) or first_expires
    local hold = {'held', person, quantity, price, expires, first_expires, now, key, body, op[7], attempt or ''}
    left = left - quantity
    held = held + quantity
    count_buyer(person, quantity)
    save_hold(id, hold)
    id_of_key[field] = id
    new_keys[#new_keys + 1] = field
    new_keys[#new_keys + 1] = id
    return answer('granted', id, hold)
end

function act.release(op)
    local id, person = op[2], op[3]
    local hold = load_hold(id)
    if not hold or (person ~= '' and hold[PERSON] ~= person) then
        return answer('not_found')
    end
    if hold[STATE] ~= 'held' then
        return answer('over', id, hold)
    end
    if person ~= '' and hold[ATTEMPT] ~= '' then
        return answer('paying', id, hold)
    end
    end_hold(id, hold, 'released')
    return answer('released', id, hold)
end

function act.extend(op)
    local id, person, attempt, for_ms, total_max_ms, force = op[2], op[3], op[4], op[5], op[6], op[7]
    local hold = load_hold(id)
    if not hold or hold[PERSON] ~= person then
        return answer('not_found')
    end
    if hold[STATE] ~= 'held' then
        return answer('over', id, hold)
    end
    if hold[ATTEMPT] ~= '' and hold[ATTEMPT] ~= attempt and not force then
        return answer('paying', id, hold)
    end
    hold[ATTEMPT] = attempt
    hold[EXPIRES] = math.max(hold[EXPIRES], math.min(now + for_ms, hold[GRANTED] + total_max_ms))
    save_hold(id, hold)
    return answer('extended', id, hold)
end

function act.resume(op)
    local id, attempt, give_back = op[2], op[3], op[4]
    local hold = load_hold(id)
    if not hold then
        return answer('not_found')
    end
    if hold[STATE] ~= 'held' or hold[ATTEMPT] ~= attempt then
        return answer('over', id, hold)
    end
    if give_back then
        end_hold(id, hold, 'released')
        ended[#ended + 1] = {id, hold}
        return answer('released', id, hold)
    end
    hold[ATTEMPT] = ''
    hold[EXPIRES] = hold[FIRST_EXPIRES]
    if hold[EXPIRES] <= now then
        end_hold(id, hold, 'expired')
        ended[#ended + 1] = {id, hold}
    else
        save_hold(id, hold)
    end
    return answer('resumed', id, hold)
end

function act.confirm(op)
    local id = op[2]
    local hold = load_hold(id)
    if not hold then
        return answer('not_found')
    end
    if hold[STATE] == 'confirmed' then
        return answer('over', id, hold)
    end
    if hold[STATE] ~= 'held' then
        -- Ended here, yet Postgres committed: Postgres is the truth, so the unit is taken out again. `left` may go
        -- below zero when it was granted to somebody else meanwhile; nobody is granted until it comes back.
        left = left - hold[QUANTITY]
        held = held + hold[QUANTITY]
        count_buyer(hold[PERSON], hold[QUANTITY])
    end
    end_hold(id, hold, 'confirmed')
    return answer('confirmed', id, hold)
end

-- Its record keeps a repeated one from counting twice. A gate of another epoch was built after Postgres had counted.
function act.give_back(op)
    local id, person, quantity, of_epoch = op[2], op[3], op[4], op[5]
    if of_epoch ~= epoch or load_hold(id) then
        return answer('over', id)
    end
    save_hold(id, {'returned', person, quantity, price, now, now, now, '', '', '', ''})
    over_now[id] = true
    sold = sold - quantity
    left = left + quantity
    count_buyer(person, -quantity)
    return answer('returned', id)
end

function act.mend(op)
    local id, how, sha1 = op[2], op[3], op[4]
    local hold = load_hold(id)
    if not hold or op[5] ~= epoch or redis.sha1hex(packed_of[id]) ~= sha1 then
        return answer('moved')
    end
    return act[how]({how, id, hold[ATTEMPT], false})
end

function act.read(op)
    local hold = load_hold(op[2])
    if not hold or (op[3] ~= '' and hold[PERSON] ~= op[3]) then
        return answer('not_found')
    end
    return answer('read', op[2], hold)
end

function act.clear()
    write_holds()  -- those of this batch are meant too
    for _, id in ipairs(redis.call('ZRANGE', live_key, 0, EXPIRE_MAX - 1)) do
        local hold = load_hold(id)
        if hold[ATTEMPT] == '' then
            end_hold(id, hold, 'released')
            ended[#ended + 1] = {id, hold}
        end
    end
    return answer('cleared')
end

function act.look()
    return answer('looked')
end

read_ahead()
expire_due()
local answers = {}
for i, op in ipairs(ops) do
    answers[i] = act[op[1]](op)
end
write_holds()
write_buyers()
write('HSET', keys_key, new_keys)
forget_old()
if left ~= was_left or held ~= was_held or sold ~= was_sold then
    n = n + 1
    redis.call('HSET', config_key, 'n', n, 'left', left, 'held', held, 'sold', sold)
end
local head = cmsgpack.pack(now, epoch, n, left, held, sold, allotment, state, label, ended)
local size = string.char(math.floor(#answers / 256), #answers % 256)
return ARRAY_OF_11 .. head .. ARRAY_16 .. size .. table.concat(answers)
