-- One worker says how many viewers it has in a room.
-- KEYS   1 here (hash: worker -> "count Unix-ms")
-- ARGV   1 worker   2 count   3 how long a word is kept, ms
-- Result nothing
-- Closes the race between workers whose clocks differ: the time of every word is Valkey's.
local now = clock_ms()
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
