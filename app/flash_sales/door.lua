-- Decides who may ask one pool's gate at all: admissions of its waiting room, the limit of a network, the waitlist.
--
-- KEYS  1 admissions (hash)   person -> token, or token \0 place once it was used; "" -> the gate's epoch they are of,
--                             "\0" -> how many are not used
--       2 inside (hash)       place -> {network, units}, of holds that count; "" -> the gate's epoch they are of
--       3 networks (hash)     network -> units inside
--       4 waiting (string)    how many wait for units to come back; ends by itself when nobody says it again
--       5 config (hash)       the gate's own: its epoch, and the server that it was written under
-- ARGV  1 operations, a MessagePack array of arrays:
--         {"enter", person, place, network, units, network_limit, by_admission, token}
--         {"back", person, place, reuse} its hold was refused or has ended; with `reuse` the admission counts again
--         {"less", place, units}         so many units of an order came back, or of a hold that was made smaller
--         {"more", place, network, units, network_limit}  the hold at the place is to have so many units more
--         {"admit", person, token, epoch}  says an admission, as often as one likes; unless the gate is of this epoch
--                                        and of this server, nothing is said
--         {"expel", person}
--         {"waiting", count, ttl_ms}
--       A place is made of person and idempotency key (gate_wire.py).
--       2 how long all this is kept after the last word, in ms
-- RESULT  MessagePack array of words, one an operation: for "enter" in, not_admitted, admission_used, short (each who
--         was admitted is to find a unit: so many more are not free beside), network_limit or in_line; for "more" in,
--         short, network_limit or in_line; for the others done.
--
-- The race it closes: two requests with one admission, or of one network at its limit, both passing the look before
-- either is written down. And an admission used twice because what was used is forgotten: with every loss the gate gets
-- a new epoch, and what was admitted before counts only when it is said for that one.

local admissions_key, inside_key, networks_key, waiting_key, config_key = unpack(KEYS)
local ops, kept_ms = cmsgpack.unpack(ARGV[1]), ARGV[2]
local act = {}

local gate_epoch, gate_left

-- Of the gate in place; '' where it is missing or was written under another server.
local function epoch_now()
    if not gate_epoch then
        local gate = redis.call('HMGET', config_key, 'epoch', 'server', 'left')
        gate_epoch = gate[1] and gate[2] == this_server() and gate[1] or ''
        gate_left = tonumber(gate[3] or 0)
    end
    return gate_epoch
end

local function admission_of(person)
    local there = redis.call('HMGET', admissions_key, '', person)
    return epoch_now() ~= '' and there[1] == epoch_now() and there[2]
end

local UNUSED = '\0'

local function is_used(admission)
    return string.find(admission, '\0', 1, true) ~= nil
end

local function count_unused(change)
    redis.call('HINCRBY', admissions_key, UNUSED, change)
end

-- Whether so many units are free, but not beside those that others were admitted to; `own` admissions are the asker's.
local function is_promised(units, own)
    local others = tonumber(redis.call('HGET', admissions_key, UNUSED) or 0) - own
    epoch_now()
    return others > 0 and gate_left >= units and gate_left - others < units
end

local function somebody_waits()
    return tonumber(redis.call('GET', waiting_key) or 0) > 0
end

local function is_full(network, units, limit)
    return tonumber(redis.call('HGET', networks_key, network) or 0) + units > limit
end

-- What was inside when the gate was lost is inside no more: its holds are gone, but for those that are being paid for.
-- Who comes while the gate is missing is of the one that will be built for them.
local function begin_epoch()
    local epoch, of = epoch_now(), redis.call('HGET', inside_key, '')
    if of and of ~= '' and of ~= epoch then
        redis.call('DEL', inside_key, networks_key)
    end
    if of ~= epoch then
        redis.call('HSET', inside_key, '', epoch)
        redis.call('PEXPIRE', inside_key, kept_ms)
    end
end

function act.enter(op)
    local person, place, network, units, limit, by_admission, token = op[2], op[3], op[4], op[5], op[6], op[7], op[8]
    local counted = limit > 0 and network ~= ''
    if counted or by_admission then
        begin_epoch()
    end
    local there = by_admission and admission_of(person)
    -- Who is inside already is asked for what let them in, which may have been taken back since. For the same place it
    -- uses up no other.
    if redis.call('HEXISTS', inside_key, place) == 1 then
        return (not by_admission or there == token .. '\0' .. place) and 'in' or 'not_admitted'
    end
    if by_admission then
        if there ~= token then
            local used = there and token ~= '' and string.sub(there, 1, #token + 1) == token .. '\0'
            return used and 'admission_used' or 'not_admitted'
        end
        if units > 1 and is_promised(units, 1) then
            return 'short'
        end
    elseif somebody_waits() then
        return 'in_line'
    end
    if counted and is_full(network, units, limit) then
        return 'network_limit'
    end
    if counted then
        redis.call('HINCRBY', networks_key, network, units)
        redis.call('PEXPIRE', networks_key, kept_ms)
    end
    if by_admission then
        redis.call('HSET', admissions_key, person, token .. '\0' .. place)
        count_unused(-1)
        redis.call('PEXPIRE', admissions_key, kept_ms)
    end
    if counted or by_admission then
        redis.call('HSET', inside_key, place, cmsgpack.pack({counted and network or '', units}))
        redis.call('PEXPIRE', inside_key, kept_ms)
    end
    return 'in'
end

local function count_out(network, units)
    if network ~= '' and redis.call('HINCRBY', networks_key, network, -units) <= 0 then
        redis.call('HDEL', networks_key, network)
    end
end

function act.back(op)
    local person, place, reuse = op[2], op[3], op[4]
    local packed = redis.call('HGET', inside_key, place)
    if not packed then
        return 'done'
    end
    redis.call('HDEL', inside_key, place)
    count_out(unpack(cmsgpack.unpack(packed)))
    local there = reuse and redis.call('HGET', admissions_key, person)
    if there and string.sub(there, -#place - 1) == '\0' .. place then
        redis.call('HSET', admissions_key, person, string.sub(there, 1, #there - #place - 1))
        count_unused(1)
    end
    return 'done'
end

-- Who waits is served first, also before somebody who has one and wants two.
function act.more(op)
    local place, network, units, limit = op[2], op[3], op[4], op[5]
    begin_epoch()
    if somebody_waits() then
        return 'in_line'
    end
    if is_promised(units, 0) then
        return 'short'
    end
    local packed = redis.call('HGET', inside_key, place)
    local entry = packed and cmsgpack.unpack(packed)
    if entry and entry[1] ~= '' then
        network = entry[1]  -- where the hold was taken, wherever its person is by now
    end
    if limit == 0 or network == '' then
        return 'in'
    end
    if is_full(network, units, limit) then
        return 'network_limit'
    end
    redis.call('HINCRBY', networks_key, network, units)
    redis.call('PEXPIRE', networks_key, kept_ms)
    redis.call('HSET', inside_key, place, cmsgpack.pack({network, units + (entry and entry[1] ~= '' and entry[2] or 0)}))
    redis.call('PEXPIRE', inside_key, kept_ms)
    return 'in'
end

-- The rest stays inside, as what the network has.
function act.less(op)
    local place, units = op[2], op[3]
    local packed = redis.call('HGET', inside_key, place)
    if packed then
        local entry = cmsgpack.unpack(packed)
        units = math.min(units, entry[2])
        count_out(entry[1], units)
        redis.call('HSET', inside_key, place, cmsgpack.pack({entry[1], entry[2] - units}))
    end
    return 'done'
end

function act.admit(op)
    local person, token, epoch = op[2], op[3], op[4]
    if epoch ~= epoch_now() then
        return 'done'
    end
    if redis.call('HGET', admissions_key, '') ~= epoch then
        redis.call('DEL', admissions_key)
        redis.call('HSET', admissions_key, '', epoch)
        begin_epoch()
    end
    local there = redis.call('HGET', admissions_key, person)
    if not there or (there ~= token and string.sub(there, 1, #token + 1) ~= token .. '\0') then
        redis.call('HSET', admissions_key, person, token)
        if not there or is_used(there) then
            count_unused(1)
        end
        redis.call('PEXPIRE', admissions_key, kept_ms)
    end
    return 'done'
end

function act.expel(op)
    local there = redis.call('HGET', admissions_key, op[2])
    if there then
        redis.call('HDEL', admissions_key, op[2])
        count_unused(is_used(there) and 0 or -1)
    end
    return 'done'
end

function act.waiting(op)
    if op[2] > 0 then
        redis.call('SET', waiting_key, op[2], 'PX', op[3])
    else
        redis.call('DEL', waiting_key)
    end
    return 'done'
end

local answers = {}
for i, op in ipairs(ops) do
    answers[i] = act[op[1]](op)
end
return cmsgpack.pack(answers)
