-- Puts a tombstone over an event of the history and appends the event that tells everybody.
-- KEYS   1 head   2 log   3 copies (hash: "epoch:offset" -> event)
-- ARGV   1 channel   2 epoch and   3 offset of the event to bury   4 tombstone (JSON)   5 event (JSON)
--        6 how many events the history keeps
-- Result {epoch, offset} of the telling event; {} when the room is closed. An offset of another epoch, or one that
--        left the history, buries nothing; the telling event is appended all the same.
-- Closes the race between the deletion and a viewer who resumes, and the one with the copy to Postgres: the text is
-- out of history and copies before anybody can learn of the deletion. One message carries both, so a worker that
-- lost it sees a hole.
local epoch = epoch_of(KEYS[1])
if not epoch then
  return {}
end
local buried = tonumber(ARGV[3])
redis.call('HDEL', KEYS[3], ARGV[2] .. ':' .. ARGV[3])
local top = tonumber(redis.call('HGET', KEYS[1], 'top'))
if ARGV[2] == epoch and buried <= top and top - buried < redis.call('LLEN', KEYS[2]) then
  redis.call('LSET', KEYS[2], buried - top - 1, ARGV[4])
else
  buried = 0
end
local offset = redis.call('HINCRBY', KEYS[1], 'top', 1)
redis.call('RPUSH', KEYS[2], ARGV[5])
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[6]), -1)
publish(
  ARGV[1],
  'd ' .. epoch .. ' ' .. offset .. ' ' .. buried .. ' ' .. #ARGV[5] .. ' ' .. ARGV[5] .. ARGV[4]
)
return {epoch, offset}
