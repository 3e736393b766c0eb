-- Lets a person do one more thing of a kind, or says how long they wait for it.
-- KEYS   1 pace (of this person and kind)
-- ARGV   1 pace: one in so many ms   2 pace: so many at once
-- Result ms to wait; 0 when it is counted
-- Closes the race between two workers that would each let the last one through.
local now, every = clock_ms(), tonumber(ARGV[1])
local wait, full = wait_of(KEYS[1], every, tonumber(ARGV[2]), now)
if wait > 0 then
  return wait
end
spend(KEYS[1], every, full, now)
return 0
