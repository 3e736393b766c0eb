-- Adds up a room's viewers over all workers and publishes the state key `viewers` when the number changed.
-- KEYS   1 head   2 state   3 here (hash: worker -> "count Unix-ms")
-- ARGV   1 channel   2 how old a worker's word may be, ms
-- Result the sum; -1 when the room is closed
-- Closes the race between two summing workers: comparing, setting and publishing are one step, and the version is
-- Valkey's time, so it also survives a lost room.
local epoch = epoch_of(KEYS[1])
if not epoch then
  return -1
end
local now = clock_ms()
local sum = 0
local words = redis.call('HGETALL', KEYS[3])
for i = 1, #words, 2 do
  local count, at = string.match(words[i + 1], '^(%d+) (%d+)$')
  if now - tonumber(at) > tonumber(ARGV[2]) then
    redis.call('HDEL', KEYS[3], words[i])
  else
    sum = sum + tonumber(count)
  end
end
local value = '{"n":' .. sum .. '}'
local known = redis.call('HGET', KEYS[2], 'viewers')
local version = now
if known then
  local before, said = string.match(known, '^(%d+) (.*)$')
  if said == value then
    return sum
  end
  version = math.max(now, tonumber(before) + 1)
end
version = string.format('%.0f', version)
redis.call('HSET', KEYS[2], 'viewers', version .. ' ' .. value)
live_with(KEYS[1], KEYS[2])
publish(ARGV[1], 'k ' .. epoch .. ' ' .. version .. ' viewers ' .. value)
return sum
