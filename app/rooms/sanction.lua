-- Silences a person, or lifts it, and says so in the room.
-- KEYS   1 head   2 log   3 mutes (hash: person -> Unix ms or "ban"; "w:" and a person: a warning)
-- ARGV   1 channel   2 person   3 Unix ms when it ends, "ban", or "" to lift   4 event (JSON; "": none)
--        5 how many events the history keeps
-- Result {epoch, offset}, without an event the top; {} when the room is closed
-- Closes the race between the sanction and its announcement: what stands after the event's offset was spoken under it.
local epoch = epoch_of(KEYS[1])
if not epoch then
  return {}
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[3], ARGV[2])
else
  redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
  live_with(KEYS[1], KEYS[3])
end
if ARGV[4] == '' then
  return {epoch, tonumber(redis.call('HGET', KEYS[1], 'top'))}
end
local offset = append(KEYS[1], KEYS[2], ARGV[4], ARGV[5])
publish(ARGV[1], 'm ' .. epoch .. ' ' .. offset .. ' ' .. ARGV[4])
return {epoch, offset}
