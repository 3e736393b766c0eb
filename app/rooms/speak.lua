-- A person's words in a room: retry, sanction, pace, offset, history, copy and publication are one step.
-- KEYS   1 head   2 log   3 mutes (hash: person -> Unix ms or "ban")   4 once (these words)   5 once of the former id
--        6 pace (of this person)   7 copies (hash: "epoch:offset" -> event, until it is in Postgres)
-- ARGV   1 channel   2 person   3 event (JSON)   4 event's id   5 the id that it would have had a while ago
--        6 how many events the history keeps   7 how long a retry is known, ms   8 pace: one in so many ms
--        9 pace: so many at once   10 most copies waiting   11 "sure" when Postgres does not know these words
-- Result {"said", epoch, offset, id} (of the first try when retried) | {"muted", ms left, -1 for good}
--        | {"fast", ms to wait} | {"backlog"} | {"unsure"} when the room was lost lately and has forgotten what was a
--        retry | {} when the room is closed: without its sanctions nobody speaks
-- Closes the race between a timeout and the words of the person on another worker: whichever script runs first
-- decides, and no later offset carries words of a silenced person.
local epoch, unsure_until = epoch_of(KEYS[1])
if not epoch then
  return {}
end

for which = 4, 5 do
  local first = redis.call('HMGET', KEYS[which], 'epoch', 'offset')
  if first[1] then
    return {'said', first[1], tonumber(first[2]), ARGV[which]}
  end
end

local now = clock_ms()
local mute = redis.call('HGET', KEYS[3], ARGV[2])
if mute == 'ban' then
  return {'muted', -1}
elseif mute then
  local left = tonumber(mute) - now
  if left > 0 then
    return {'muted', left}
  end
  redis.call('HDEL', KEYS[3], ARGV[2])
end

if now < unsure_until and ARGV[11] ~= 'sure' then
  return {'unsure'}
end

-- Pace by the time at which the person's allowance would be full again (GCRA).
local every, burst = tonumber(ARGV[8]), tonumber(ARGV[9])
local full = math.max(tonumber(redis.call('GET', KEYS[6]) or 0), now)
local wait = full + every - now - every * burst
if wait > 0 then
  return {'fast', wait}
end

if redis.call('HLEN', KEYS[7]) >= tonumber(ARGV[10]) then
  return {'backlog'}
end

redis.call('SET', KEYS[6], string.format('%.0f', full + every), 'PX', string.format('%.0f', full + every - now))
local offset = append(KEYS[1], KEYS[2], ARGV[3], ARGV[6])
redis.call('HSET', KEYS[7], epoch .. ':' .. offset, ARGV[3])
remember(KEYS[4], epoch, offset, ARGV[7])
publish(ARGV[1], 'm ' .. epoch .. ' ' .. offset .. ' ' .. ARGV[3])
return {'said', epoch, offset, ARGV[4]}
