-- All that a worker must know of a room, of one instant.
-- KEYS   1 head   2 log   3 state
-- ARGV   none
-- Result {epoch, top, events oldest first, {key, "version JSON", ...}}; {} when the room is closed
-- Closes the race between reading the history and reading its top: read apart, an event between both shows as a hole.
local head = redis.call('HMGET', KEYS[1], 'epoch', 'top')
if not head[1] then
  return {}
end
return {head[1], tonumber(head[2]), redis.call('LRANGE', KEYS[2], 0, -1), redis.call('HGETALL', KEYS[3])}
