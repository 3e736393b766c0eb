-- Puts tombstones over all words of one person, or of everybody, and appends the event that tells.
-- KEYS   1 head   2 log   3 copies (hash: "epoch:offset" -> event)
-- ARGV   1 channel   2 person ("": everybody)   3 pattern that catches the words' id and their speaker   4 tombstone
--        with %s for the id   5 event (JSON)   6 how many events the history keeps
-- Result {epoch, offset} of the telling event; {} when the room is closed
-- Closes the race between the deletion and words that are spoken meanwhile: what was said before the telling event's
-- offset is gone with it, from the history, from the copies and, as one message carries all, from every worker. And the
-- one with a worker that gives lost words back, which asked Postgres before the deletion: it finds another number of
-- burials than it had read, and asks again.
local epoch = epoch_of(KEYS[1])
if not epoch then
  return {}
end
redis.call('HINCRBY', KEYS[1], 'buried', 1)
local copies = redis.call('HGETALL', KEYS[3])
for i = 1, #copies, 2 do
  local _, speaker = string.match(copies[i + 1], ARGV[3])
  if speaker and (ARGV[2] == '' or speaker == ARGV[2]) then
    redis.call('HDEL', KEYS[3], copies[i])
  end
end
local log = redis.call('LRANGE', KEYS[2], 0, -1)
local below = tonumber(redis.call('HGET', KEYS[1], 'top')) - #log
local buried = {}
for i = 1, #log do
  local id, speaker = string.match(log[i], ARGV[3])
  if speaker and (ARGV[2] == '' or speaker == ARGV[2]) then
    local tombstone = string.format(ARGV[4], id)
    redis.call('LSET', KEYS[2], i - 1, tombstone)
    buried[#buried + 1] = string.format('%.0f', below + i) .. ' ' .. tombstone
  end
end
local offset = append(KEYS[1], KEYS[2], ARGV[5], ARGV[6])
publish(
  ARGV[1],
  'b ' .. epoch .. ' ' .. offset .. ' ' .. #ARGV[5] .. ' ' .. ARGV[5] .. table.concat(buried, '\n')
)
return {epoch, offset}
