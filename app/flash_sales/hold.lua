-- Decides a batch of operations on the holds of one pool, in order, at one instant of this server's clock.
--
-- KEYS  1 config (hash)            epoch n left held sold allotment price limit starts ends state label
--                                  server due
--       2 over (sorted set)        place -> when its hold ended; the record is forgotten KEEP_MS later
--       3 waiting (string)         as in door.lua; needed by a take that pays at once
--       then so many shards (gate_wire.py says why) of each:
--         holds (hash)             place -> record
--         live (sorted set)        place -> expires_ms, for holds that are held
--         buyers (hash)            person -> units held or sold
-- ARGV  1 operations, a MessagePack array of arrays:
--         {"take", hold, person, key, body, quantity, show, ttl_ms}; with {…, attempt, for_ms, total_max_ms} it is paid
--                 for at once: a take and an extend in one, for who has no admission, and in_line while somebody waits
--         {"release", hold, person}            person "" is the house itself
--         {"resize", hold, person, quantity, before}  so many units instead of `before`, at the same price and until the
--                 same moment; `before` may be left out
--         {"extend", hold, person, attempt, for_ms, total_max_ms, force}
--         {"resume", hold, attempt, give_back} the payment is over without an order; with give_back the hold too
--         {"confirm", hold}                    Postgres says the order stands
--         {"sold", holds}                      as confirm, of many; the answer is `sold`, whatever each was
--         {"give_back", return, person, quantity, epoch}  units of an order came back; Postgres counted them in `epoch`
--         {"mend", hold, how, sha1, epoch}     "confirm" or "resume", unless record or epoch is another by now
--         {"read", hold, person}
--         {"clear"}                            releases all that no payment is open on
--         {"look"}
--       A take whose key was used for another body is a `mismatch` while that hold stands, `mismatch_over` after it.
--       A hold's id is the pool, "-", 20 characters of place and some of its own. The place is made of person and
--       idempotency key, so that a key finds its hold without an index; a shorter id is its own place. Its first
--       character is its shard, "a" for the first.
--       A record is {state, person, quantity, price, expires_ms, first_expires_ms, granted_ms, key, body, show,
--       attempt, hold}, where attempt is "" unless a payment is in flight.
-- RESULT  MessagePack {now_ms, epoch, n, left, held, sold, allotment, state, label, ended, answers}: `ended` lists
--         records of holds that expired or were cleared, an answer is {code, wait_ms, record or false}.
--         epoch is 0 when the pool has no configuration, or one that was written under another server, whose tail may
--         be missing here: nothing was decided, the gate must be rebuilt.
--
-- What is read and written for it, and how, is in hold_book.lua; where it is kept, in shards.lua.
--
-- The race it closes: two buyers, or one buyer twice, asking for the last unit (or for the last of their limit), and
-- the clock passing an edge of the window or of a hold between a look and a write. Looking, deciding and writing are
-- one step here, and its time is one reading of TIME.

local codes = {}

local function answer(code, packed, wait_ms)
    local said = codes[code]
    if not said then
        said = ARRAY_OF_3 .. cmsgpack.pack(code, wait_ms or 0)
        codes[code] = said
    end
    return said .. (packed or FALSE)
end

local function answer_with(code, hold)
    return answer(code, packed_of[place_of(hold[HOLD])])
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
    local id, person, body, quantity, attempt = op[2], op[3], op[5], op[6], op[9]
    local place = place_of(id)
    if packed_of[place] then
        local hold = hold_at(place)
        -- One that a rebuild brought over from an open payment has no body any more.
        if hold[PERSON] ~= person or (hold[BODY] ~= body and hold[BODY] ~= '') then
            -- Without the record: whoever finds a hold in an answer takes it for what was asked for.
            return answer((hold[STATE] == 'held' or hold[STATE] == 'confirmed') and 'mismatch' or 'mismatch_over')
        end
        return answer_with('same', hold)
    end
    if attempt and somebody_waits() then
        return answer('in_line')
    end
    if state ~= 'open' or (ends > 0 and now >= ends) then
        return answer('ended')
    end
    if now < starts then
        return answer('not_started', nil, starts - now)
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
    -- As save_hold would, without a table for what nobody may ask for again.
    local packed = ARRAY_OF_12 .. cmsgpack.pack('held', person, quantity, price, expires, first_expires, now, op[4],
        body, op[7], attempt or '', id)
    packed_of[place], hold_of[place], changed[place], live_at[place] = packed, nil, true, expires
    due = math.min(due, expires)
    left = left - quantity
    held = held + quantity
    count_buyer(person, quantity)
    return answer('granted', packed)
end

function act.release(op)
    local person = op[3]
    local hold = find_hold(op[2])
    if not hold or (person ~= '' and hold[PERSON] ~= person) then
        return answer('not_found')
    end
    if hold[STATE] ~= 'held' then
        return answer_with('over', hold)
    end
    if person ~= '' and hold[ATTEMPT] ~= '' then
        return answer_with('paying', hold)
    end
    end_hold(hold, 'released')
    return answer_with('released', hold)
end

function act.resize(op)
    local person, quantity = op[3], op[4]
    local hold = find_hold(op[2])
    if not hold or hold[PERSON] ~= person then
        return answer('not_found')
    end
    if hold[STATE] ~= 'held' then
        return answer_with('over', hold)
    end
    if op[5] and op[5] ~= hold[QUANTITY] then
        return answer('moved')
    end
    local more = quantity - hold[QUANTITY]
    if more ~= 0 and hold[ATTEMPT] ~= '' then
        return answer_with('paying', hold)
    end
    if more > 0 and (state ~= 'open' or (ends > 0 and now >= ends)) then
        return answer('ended')
    end
    if more > 0 and limit > 0 and units_held_by(person) + more > limit then
        return answer('over_limit')
    end
    if more > 0 and left < more then
        return answer(left > 0 and 'stock_short' or 'all_held')
    end
    hold[QUANTITY] = quantity
    left = left - more
    held = held + more
    count_buyer(person, more)
    save_hold(place_of(hold[HOLD]), hold)
    return answer_with('resized', hold)
end

function act.extend(op)
    local person, attempt, for_ms, total_max_ms, force = op[3], op[4], op[5], op[6], op[7]
    local hold = find_hold(op[2])
    if not hold or hold[PERSON] ~= person then
        return answer('not_found')
    end
    if hold[STATE] ~= 'held' then
        return answer_with('over', hold)
    end
    if hold[ATTEMPT] ~= '' and hold[ATTEMPT] ~= attempt and not force then
        return answer_with('paying', hold)
    end
    hold[ATTEMPT] = attempt
    hold[EXPIRES] = math.max(hold[EXPIRES], math.min(now + for_ms, hold[GRANTED] + total_max_ms))
    save_hold(place_of(hold[HOLD]), hold)
    return answer_with('extended', hold)
end

function act.resume(op)
    local attempt, give_back = op[3], op[4]
    local hold = find_hold(op[2])
    if not hold then
        return answer('not_found')
    end
    if hold[STATE] ~= 'held' or hold[ATTEMPT] ~= attempt then
        return answer_with('over', hold)
    end
    if give_back then
        end_hold(hold, 'released')
        ended[#ended + 1] = hold
        return answer_with('released', hold)
    end
    hold[ATTEMPT] = ''
    hold[EXPIRES] = hold[FIRST_EXPIRES]
    if hold[EXPIRES] <= now then
        end_hold(hold, 'expired')
        ended[#ended + 1] = hold
    else
        save_hold(place_of(hold[HOLD]), hold)
    end
    return answer_with('resumed', hold)
end

local function confirm(hold)
    if not hold then
        return 'not_found'
    end
    if hold[STATE] == 'confirmed' then
        return 'over'
    end
    if hold[STATE] ~= 'held' then
        -- Ended here, yet Postgres committed: Postgres is the truth, so the unit is taken out again. `left` may go
        -- below zero when it was granted to somebody else meanwhile; nobody is granted until it comes back.
        left = left - hold[QUANTITY]
        held = held + hold[QUANTITY]
        count_buyer(hold[PERSON], hold[QUANTITY])
    end
    end_hold(hold, 'confirmed')
    return 'confirmed'
end

function act.confirm(op)
    local hold = find_hold(op[2])
    local code = confirm(hold)
    return hold and answer_with(code, hold) or answer(code)
end

function act.sold(op)
    for _, id in ipairs(op[2]) do
        confirm(find_hold(id))
    end
    return answer('sold')
end

-- Its record keeps a repeated one from counting twice. A gate of another epoch was built after Postgres had counted.
function act.give_back(op)
    local back, person, quantity, of_epoch = op[2], op[3], op[4], op[5]
    if of_epoch ~= epoch or hold_at(back) then
        return answer('over')
    end
    save_hold(back, {'returned', person, quantity, price, now, now, now, '', '', '', '', back})
    over_now[back] = true
    sold = sold - quantity
    left = left + quantity
    count_buyer(person, -quantity)
    return answer('returned')
end

function act.mend(op)
    local id, how, sha1 = op[2], op[3], op[4]
    local hold = find_hold(id)
    if not hold or op[5] ~= epoch or redis.sha1hex(packed_of[place_of(id)]) ~= sha1 then
        return answer('moved')
    end
    return act[how]({how, id, hold[ATTEMPT], false})
end

function act.read(op)
    local hold = find_hold(op[2])
    if not hold or (op[3] ~= '' and hold[PERSON] ~= op[3]) then
        return answer('not_found')
    end
    return answer_with('read', hold)
end

function act.clear()
    write_holds()  -- those of this batch are meant too
    for _, live_key in ipairs(live_keys) do
        for _, place in ipairs(redis.call('ZRANGE', live_key, 0, EXPIRE_MAX - 1)) do
            local hold = hold_at(place)
            if hold[ATTEMPT] == '' then
                end_hold(hold, 'released')
                ended[#ended + 1] = hold
            end
        end
    end
    return answer('cleared')
end

function act.look()
    return answer('looked')
end

read_ahead()
local looks = now >= due
if looks then
    expire_due()
end
local answers = {}
for i, op in ipairs(ops) do
    answers[i] = act[op[1]](op)
end
write_holds()
write_buyers()
if #ops > 1 or n % FORGET_EVERY == 0 then
    forget_old()
end
if looks then
    due = first_due()
end
if left ~= was_left or held ~= was_held or sold ~= was_sold then
    n = n + 1
    redis.call('HSET', config_key, 'n', n, 'left', left, 'held', held, 'sold', sold, 'due', due)
elseif due ~= was_due then
    redis.call('HSET', config_key, 'due', due)
end
local head = cmsgpack.pack(now, epoch, n, left, held, sold, allotment, state, label, ended)
local size = string.char(math.floor(#answers / 256), #answers % 256)
return ARRAY_OF_11 .. head .. ARRAY_16 .. size .. table.concat(answers)
