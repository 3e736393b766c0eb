-- Gives words back to a room that was lost with them before they were in Postgres.
-- KEYS   1 head   2 log   3 mutes   4 copies   5... once of each word
-- ARGV   1 channel   2 the room's epoch and   3 its number of burials ("": none) when Postgres was asked
--        4 how many events the history keeps   5 how long a retry is known, ms; then of each word the person, the event
--        (JSON), and the epoch and offset under which it was said
-- Result how many were appended; -1 when the room has another epoch, -2 when words were buried since: ask Postgres again
-- Closes the race between several workers that remember the same words, the person who says them again, and the
-- moderator who deletes them: who comes first marks `once` with the epoch, and nobody else's counts. Words of who is silenced now go
-- to Postgres alone: no later offset carries them.
local epoch = epoch_of(KEYS[1])
if epoch ~= ARGV[2] then
  return -1
end
if (redis.call('HGET', KEYS[1], 'buried') or '') ~= ARGV[3] then
  return -2
end
local now = clock_ms()
local appended = 0
for word = 1, #KEYS - 4 do
  local once, at = KEYS[4 + word], 4 * word + 2
  if redis.call('HGET', once, 'epoch') ~= epoch then
    local mute = redis.call('HGET', KEYS[3], ARGV[at])
    local offset = 0
    local field = ARGV[at + 2] .. ':' .. ARGV[at + 3]
    if not (mute == 'ban' or (mute and tonumber(mute) > now)) then
      offset = append(KEYS[1], KEYS[2], ARGV[at + 1], ARGV[4])
      publish(ARGV[1], 'm ' .. epoch .. ' ' .. offset .. ' ' .. ARGV[at + 1])
      field = epoch .. ':' .. offset
      appended = appended + 1
    end
    redis.call('HSET', KEYS[4], field, ARGV[at + 1])
    remember(once, epoch, offset, ARGV[5])
  end
end
return appended
