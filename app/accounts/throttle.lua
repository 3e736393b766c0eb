-- Counts one try against several allowances at once.
-- KEYS   one counter per allowance
-- ARGV   window_ms, then one limit per key
-- Result 0 when the try may go on; else the milliseconds until the fullest counter starts again
-- Race   two processes that read the count first and raise it later would both pass the last free try;
--        here reading and raising are one step. A refused try is not counted, so nobody is locked out for ever.
local wait = 0
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i + 1]) then
    wait = math.max(wait, redis.call('PTTL', key), 1)
  end
end
if wait > 0 then return wait end
for _, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, ARGV[1]) end
end
return 0
