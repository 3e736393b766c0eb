-- Decides a batch of operations on the holds of one pool, in order, at one instant of this server's clock.
--
-- KEYS  1 config (hash)            epoch n left held sold allotment price limit starts ends state label
--       2 holds (hash)             hold id -> record
--       3 live (sorted set)        hold id -> expires_ms, for holds that are held
--       4 buyers (hash)            person -> units held or sold
--       5 keys (hash)              person \0 idempotency key -> hold id
--       6 over (sorted set)        hold id -> when it ended; its record and key are forgotten KEEP_MS later
-- ARGV  1 operations, a MessagePack array of arrays:
--         {"take", hold, person, key, body, quantity, show, ttl_ms}
--         {"release", hold, person}            person "" is the house itself
--         {"extend", hold, person, attempt, for_ms, total_max_ms, force}
--         {"resume", hold, attempt, give_back} the payment is over without an order; with give_back the hold too
--         {"confirm", hold}                    Postgres says the order stands
--         {"restock", hold}                    Postgres says the order does not stand any more
--         {"read", hold, person}
--         {"clear"}                            releases all that no payment is open on
--         {"look"}
--       A record is {state, person, quantity, price, expires_ms, first_expires_ms, granted_ms, key, body, show,
--       attempt}, where attempt is "" unless a payment is in flight.
-- RESULT  MessagePack {now_ms, epoch, n, left, held, sold, allotment, state, label, ended, answers}: `ended` lists
--         {hold, record} of holds that expired or were cleared, an answer is {code, record or false, wait_ms, hold}.
--         epoch is 0 when the pool has no configuration: nothing was decided, the gate must be rebuilt.
--
-- The race it closes: two buyers, or one buyer twice, asking for the last unit (or for the last of their limit), and
-- the clock passing an edge of the window or of a hold between a look and a write. Looking, deciding and writing are
-- one step here, and its time is one reading of TIME.

local KEEP_MS = 3600000
local EXPIRE_MAX = 256
local FORGET_MAX = 64

local config_key, holds_key, live_key, buyers_key, keys_key, over_key = unpack(KEYS)
local ops = cmsgpack.unpack(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local config = redis.call('HMGET', config_key, 'epoch', 'n', 'left', 'held', 'sold', 'allotment', 'price', 'limit',
    'starts', 'ends', 'state', 'label')
if not config[1] then
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

local function load_hold(id)
    local packed = redis.call('HGET', holds_key, id)
    return packed and cmsgpack.unpack(packed)
end

local function save_hold(id, hold)
    redis.call('HSET', holds_key, id, cmsgpack.pack(hold))
end

local function count_buyer(person, units)
    if redis.call('HINCRBY', buyers_key, person, units) <= 0 then
        redis.call('HDEL', buyers_key, person)
    end
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
    redis.call('ZREM', live_key, id)
    redis.call('ZADD', over_key, now, id)
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

local act = {}

function act.take(op)
    local id, person, key, body, quantity = op[2], op[3], op[4], op[5], op[6]
    local field = person .. '\0' .. key
    local earlier = redis.call('HGET', keys_key, field)
    if earlier then
        local hold = load_hold(earlier)
        if hold[BODY] ~= body then
            return {'mismatch', false, 0, earlier}
        end
        return {'same', hold, 0, earlier}
    end
    if state ~= 'open' or (ends > 0 and now >= ends) then
        return {'ended', false, 0, ''}
    end
    if now < starts then
        return {'not_started', false, starts - now, ''}
    end
    if left <= 0 and held == 0 then
        return {'sold_out', false, 0, ''}
    end
    if limit > 0 and tonumber(redis.call('HGET', buyers_key, person) or 0) + quantity > limit then
        return {'over_limit', false, 0, ''}
    end
    if left <= 0 then
        return {'all_held', false, 0, ''}
    end
    if left < quantity then
        return {'stock_short', false, 0, ''}
    end
    local expires = now + op[8]
    local hold = {'held', person, quantity, price, expires, expires, now, key, body, op[7], ''}
    left = left - quantity
    held = held + quantity
    redis.call('HINCRBY', buyers_key, person, quantity)
    save_hold(id, hold)
    redis.call('ZADD', live_key, expires, id)
    redis.call('HSET', keys_key, field, id)
    return {'granted', hold, 0, id}
end

function act.release(op)
    local id, person = op[2], op[3]
    local hold = load_hold(id)
    if not hold or (person ~= '' and hold[PERSON] ~= person) then
        return {'not_found', false, 0, ''}
    end
    if hold[STATE] ~= 'held' then
        return {'over', hold, 0, id}
    end
    if person ~= '' and hold[ATTEMPT] ~= '' then
        return {'paying', hold, 0, id}
    end
    end_hold(id, hold, 'released')
    return {'released', hold, 0, id}
end

function act.extend(op)
    local id, person, attempt, for_ms, total_max_ms, force = op[2], op[3], op[4], op[5], op[6], op[7]
    local hold = load_hold(id)
    if not hold or hold[PERSON] ~= person then
        return {'not_found', false, 0, ''}
    end
    if hold[STATE] ~= 'held' then
        return {'over', hold, 0, id}
    end
    if hold[ATTEMPT] ~= '' and hold[ATTEMPT] ~= attempt and not force then
        return {'paying', hold, 0, id}
    end
    hold[ATTEMPT] = attempt
    hold[EXPIRES] = math.max(hold[EXPIRES], math.min(now + for_ms, hold[GRANTED] + total_max_ms))
    save_hold(id, hold)
    redis.call('ZADD', live_key, hold[EXPIRES], id)
    return {'extended', hold, 0, id}
end

function act.resume(op)
    local id, attempt, give_back = op[2], op[3], op[4]
    local hold = load_hold(id)
    if not hold then
        return {'not_found', false, 0, ''}
    end
    if hold[STATE] ~= 'held' or hold[ATTEMPT] ~= attempt then
        return {'over', hold, 0, id}
    end
    if give_back then
        end_hold(id, hold, 'released')
        ended[#ended + 1] = {id, hold}
        return {'released', hold, 0, id}
    end
    hold[ATTEMPT] = ''
    hold[EXPIRES] = hold[FIRST_EXPIRES]
    if hold[EXPIRES] <= now then
        end_hold(id, hold, 'expired')
        ended[#ended + 1] = {id, hold}
    else
        save_hold(id, hold)
        redis.call('ZADD', live_key, hold[EXPIRES], id)
    end
    return {'resumed', hold, 0, id}
end

function act.confirm(op)
    local id = op[2]
    local hold = load_hold(id)
    if not hold then
        return {'not_found', false, 0, ''}
    end
    if hold[STATE] == 'confirmed' or hold[STATE] == 'restocked' then
        return {'over', hold, 0, id}
    end
    if hold[STATE] ~= 'held' then
        -- Ended here, yet Postgres committed: Postgres is the truth, so the unit is taken out again. `left` may go
        -- below zero when it was granted to somebody else meanwhile; nobody is granted until it comes back.
        left = left - hold[QUANTITY]
        held = held + hold[QUANTITY]
        redis.call('HINCRBY', buyers_key, hold[PERSON], hold[QUANTITY])
    end
    end_hold(id, hold, 'confirmed')
    return {'confirmed', hold, 0, id}
end

function act.restock(op)
    local id = op[2]
    local hold = load_hold(id)
    if not hold then
        return {'not_found', false, 0, ''}
    end
    if hold[STATE] ~= 'confirmed' then
        return {'over', hold, 0, id}
    end
    hold[STATE] = 'restocked'
    sold = sold - hold[QUANTITY]
    left = left + hold[QUANTITY]
    count_buyer(hold[PERSON], -hold[QUANTITY])
    save_hold(id, hold)
    return {'restocked', hold, 0, id}
end

function act.read(op)
    local hold = load_hold(op[2])
    if not hold or (op[3] ~= '' and hold[PERSON] ~= op[3]) then
        return {'not_found', false, 0, ''}
    end
    return {'read', hold, 0, op[2]}
end

function act.clear()
    for _, id in ipairs(redis.call('ZRANGE', live_key, 0, EXPIRE_MAX - 1)) do
        local hold = load_hold(id)
        if hold[ATTEMPT] == '' then
            end_hold(id, hold, 'released')
            ended[#ended + 1] = {id, hold}
        end
    end
    return {'cleared', false, 0, ''}
end

function act.look()
    return {'looked', false, 0, ''}
end

expire_due()
forget_old()
local answers = {}
for i, op in ipairs(ops) do
    answers[i] = act[op[1]](op)
end
if left ~= was_left or held ~= was_held or sold ~= was_sold then
    n = n + 1
    redis.call('HSET', config_key, 'n', n, 'left', left, 'held', held, 'sold', sold)
end
return cmsgpack.pack({now, epoch, n, left, held, sold, allotment, state, label, ended, answers})
