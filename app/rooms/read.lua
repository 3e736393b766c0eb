-- All that a worker must know of a room, of one instant.
-- KEYS   1 head   2 log   3 state
-- ARGV   none
-- Result {epoch, top, events oldest first, {key, "version JSON", ...}}; {} when the room is closed
-- Closes the race between reading the history and reading its top: read apart, an event between both shows as a hole.
local epoch = epoch_of(KEYS[1])
if not epoch then
  return {}
end
local top = tonumber(redis.call('HGET', KEYS[1], 'top'))
return {epoch, top, redis.call('LRANGE', KEYS[2], 0, -1), redis.call('HGETALL', KEYS[3])}
