-- Opens a room that is closed, or that lost its tail, under a new epoch with everything it is rebuilt from.
-- KEYS   1 head   2 log   3 state   4 mutes
-- ARGV   1 channel   2 the new epoch   3 epoch and   4 top of a room whose tail is lost ("" and 0 when it is closed)
--        5 how long the room is kept without use, ms   6 how long it cannot be sure of what is a retry, ms
--        7 number of events   8 number of state keys   9 number of mutes; then the events, then each key, version and
--        value, then each person and end
-- Result the room's epoch
-- Closes the race between two workers that find the room lost: the first opens it, the second finds it open. A
-- sanction or deletion that reached Postgres after our reading finds either a closed room (and opens it itself, with
-- fresh facts, so that this opening does nothing) or an open one (and is applied to it): neither is ever forgotten.
local epoch = epoch_of(KEYS[1])
if epoch and not (epoch == ARGV[3] and tonumber(redis.call('HGET', KEYS[1], 'top')) < tonumber(ARGV[4])) then
  return epoch
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
local at = 10
for _ = 1, tonumber(ARGV[7]) do
  redis.call('RPUSH', KEYS[2], ARGV[at])
  at = at + 1
end
for _ = 1, tonumber(ARGV[8]) do
  redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 1] .. ' ' .. ARGV[at + 2])
  at = at + 3
end
for _ = 1, tonumber(ARGV[9]) do
  redis.call('HSET', KEYS[4], ARGV[at], ARGV[at + 1])
  at = at + 2
end
local unsure = string.format('%.0f', clock_ms() + tonumber(ARGV[6]))
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'server', this_server(), 'top', ARGV[7], 'unsure', unsure)
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[5])
end
publish(ARGV[1], 'o ' .. ARGV[2])
return ARGV[2]
