-- Takes one counted try back from several allowances: it was a good one.
-- KEYS   one counter per allowance
-- ARGV   none
-- Result how many were lowered
-- Race   a counter that ended between the count and now must not come back below zero, and without an end
local lowered = 0
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') > 0 then
    redis.call('DECR', key)
    lowered = lowered + 1
  end
end
return lowered
