-- A person's words in a room: retry, sanction, pace, offset, history, copy and publication are one step.
-- KEYS   1 head   2 log   3 mutes (hash: person -> Unix ms or "ban")   4 once (this command of this person)
--        5 pace (of this person)   6 copies (hash: "epoch:offset" -> event, until it is in Postgres)
-- ARGV   1 channel   2 person   3 event (JSON)   4 event's id   5 how many events the history keeps
--        6 how long a retry is known, ms   7 pace: one in so many ms   8 pace: so many at once   9 most copies waiting
-- Result {"said", epoch, offset, id} (of the first try when retried) | {"muted", ms left, -1 for good}
--        | {"fast", ms to wait} | {"backlog"} | {} when the room is closed: without its sanctions nobody speaks
-- Closes the race between a timeout and the words of the person on another worker: whichever script runs first
-- decides, and no later offset carries words of a silenced person.
local epoch = epoch_of(KEYS[1])
if not epoch then
  return {}
end

local first = redis.call('HMGET', KEYS[4], 'epoch', 'offset', 'id')
if first[1] then
  return {'said', first[1], tonumber(first[2]), first[3]}
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

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

-- Pace by the time at which the person's allowance would be full again (GCRA).
local every, burst = tonumber(ARGV[7]), tonumber(ARGV[8])
local full = math.max(tonumber(redis.call('GET', KEYS[5]) or 0), now)
local wait = full + every - now - every * burst
if wait > 0 then
  return {'fast', wait}
end

if redis.call('HLEN', KEYS[6]) >= tonumber(ARGV[9]) then
  return {'backlog'}
end

redis.call('SET', KEYS[5], string.format('%.0f', full + every), 'PX', string.format('%.0f', full + every - now))
local offset = redis.call('HINCRBY', KEYS[1], 'top', 1)
redis.call('RPUSH', KEYS[2], ARGV[3])
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[5]), -1)
redis.call('HSET', KEYS[6], epoch .. ':' .. offset, ARGV[3])
redis.call('HSET', KEYS[4], 'epoch', epoch, 'offset', offset, 'id', ARGV[4])
redis.call('PEXPIRE', KEYS[4], ARGV[6])
publish(ARGV[1], 'm ' .. epoch .. ' ' .. offset .. ' ' .. ARGV[3])
return {'said', epoch, offset, ARGV[4]}
