-- Sets one key of a room's state when the version is newer, and publishes it.
-- KEYS   1 head   2 state (hash: key -> "version JSON")
-- ARGV   1 channel   2 key   3 version (below 2^53)   4 value (JSON)
-- Result 1 set, 0 not newer, -1 the room is closed
-- Closes the race between two writers of one key: the older value never covers the newer one, whoever comes last.
local epoch = epoch_of(KEYS[1])
if not epoch then
  return -1
end
local known = redis.call('HGET', KEYS[2], ARGV[2])
if known and tonumber(string.match(known, '^%d+')) >= tonumber(ARGV[3]) then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ' ' .. ARGV[4])
live_with(KEYS[1], KEYS[2])
publish(ARGV[1], 'k ' .. epoch .. ' ' .. ARGV[3] .. ' ' .. ARGV[2] .. ' ' .. ARGV[4])
return 1
