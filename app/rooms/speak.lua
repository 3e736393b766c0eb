-- A person's words in a room: retry, sanction, pace, offset, history, copy and publication are one step.
-- KEYS   1 head   2 log   3 mutes (hash: person -> Unix ms or "ban")   4 once (these words)   5 once of the former id
--        6 pace (of this person)   7 copies (hash: "epoch:offset" -> event, until it is in Postgres)
--        8 state (hash: key -> "version JSON")   9 same (of this person: "likeness count")   10 said (these words, by anybody)
--        11 pace (of all from the person's address)   12 pace (of the room)
-- ARGV   1 channel   2 person   3 event (JSON)   4 event's id   5 the id that it would have had a while ago
--        6 how many events the history keeps   7 how long a retry is known, ms   8 pace: one in so many ms
--        9 pace: so many at once   10 most copies waiting   11 "sure" when Postgres does not know these words
--        12 key of the state and   13 version of it that the words were judged by ("": none)   14 likeness ("": none)
--        15 so often the same   16 within so many ms   17 "wait" to keep the words unsaid, "release" when they waited,
--        "ask" to change nothing
--        18 for so many ms nobody says the same again ("": no such rule)
--        19, 20 as 8 and 9, of the address ("": not counted)   21, 22 of the room ("": not counted)
-- Result {"said", epoch, offset, id} (of the first try when retried) | {"muted", ms left, -1 for good}
--        | {"kept", id, top} | {"warned"} | {"stale", the room's version} | {"same", ms to wait} | {"taken", ms to wait}
--        | {"fast", ms to wait} | {"crowded", ms to wait} | {"backlog"} | {"welcome"} when it was only asked and nothing is
--        against the words | {"unsure"} when the room was lost lately and has forgotten what was a
--        retry | {} when the room is closed: without its sanctions nobody speaks
-- Closes the race between a timeout and the words of the person on another worker: whichever script runs first
-- decides, and no later offset carries words of a silenced person. And the one between a change of the rules and words
-- that were judged by the old ones: they are judged again.
local epoch, unsure_until = epoch_of(KEYS[1])
if not epoch then
  return {}
end

for which = 4, 5 do
  local first = redis.call('HMGET', KEYS[which], 'epoch', 'offset')
  if first[1] == 'kept' then
    if ARGV[17] ~= 'release' then
      return {'kept', ARGV[which], tonumber(redis.call('HGET', KEYS[1], 'top'))}
    end
  elseif first[1] then
    return {'said', first[1], tonumber(first[2]), ARGV[which]}
  end
end

if ARGV[13] ~= '' then
  local known = redis.call('HGET', KEYS[8], ARGV[12])
  local version = known and string.match(known, '^%d+') or '0'
  if version ~= ARGV[13] then
    return {'stale', tonumber(version)}
  end
end

local now = clock_ms()
local sanctions = redis.call('HMGET', KEYS[3], ARGV[2], 'w:' .. ARGV[2])
local mute = sanctions[1]
if mute == 'ban' then
  return {'muted', -1}
elseif mute then
  local left = tonumber(mute) - now
  if left > 0 then
    return {'muted', left}
  end
  redis.call('HDEL', KEYS[3], ARGV[2])
end

if sanctions[2] then
  return {'warned'}
end

if now < unsure_until and ARGV[11] ~= 'sure' then
  return {'unsure'}
end

local every = tonumber(ARGV[8])
local wait, full = wait_of(KEYS[6], every, tonumber(ARGV[9]), now)
if wait > 0 then
  return {'fast', wait}
end

local shared = {}
for which = 1, 2 do
  local each = tonumber(ARGV[17 + 2 * which])
  if each then
    local left, brim = wait_of(KEYS[10 + which], each, tonumber(ARGV[18 + 2 * which]), now)
    if left > 0 then
      return {'crowded', left}
    end
    shared[which] = brim
  end
end

local count = 1
if ARGV[14] ~= '' then
  local before, times = string.match(redis.call('GET', KEYS[9]) or '', '^(%x+) (%d+)$')
  if before == ARGV[14] then
    count = times + 1
  end
  if count > tonumber(ARGV[15]) then
    return {'same', redis.call('PTTL', KEYS[9])}
  end
end

local is_unique = ARGV[18] ~= '' and ARGV[14] ~= ''
if is_unique then
  local left = redis.call('PTTL', KEYS[10])
  if left > 0 then
    return {'taken', left}
  end
end

if redis.call('HLEN', KEYS[7]) >= tonumber(ARGV[10]) then
  return {'backlog'}
end

if ARGV[17] == 'ask' then
  return {'welcome'}
end

spend(KEYS[6], every, full, now)
for which, brim in pairs(shared) do
  spend(KEYS[10 + which], tonumber(ARGV[17 + 2 * which]), brim, now)
end
if ARGV[14] ~= '' then
  redis.call('SET', KEYS[9], ARGV[14] .. ' ' .. string.format('%.0f', count), 'PX', ARGV[16])
end
if is_unique then
  redis.call('SET', KEYS[10], '', 'PX', ARGV[18])
end
if ARGV[17] == 'wait' then
  remember(KEYS[4], 'kept', 0, ARGV[7])
  return {'kept', ARGV[4], tonumber(redis.call('HGET', KEYS[1], 'top'))}
end
local offset = append(KEYS[1], KEYS[2], ARGV[3], ARGV[6])
redis.call('HSET', KEYS[7], epoch .. ':' .. offset, ARGV[3])
remember(KEYS[4], epoch, offset, ARGV[7])
publish(ARGV[1], 'm ' .. epoch .. ' ' .. offset .. ' ' .. ARGV[3])
return {'said', epoch, offset, ARGV[4]}
