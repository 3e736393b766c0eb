-- Puts a tombstone over an event of the history and appends the event that tells everybody.
-- KEYS   1 head   2 log   3 copies (hash: "epoch:offset" -> event)   4 once (of the words to bury)
-- ARGV   1 channel   2 epoch and   3 offset of the event to bury, as far as known   4 tombstone (JSON)
--        5 event (JSON)   6 how many events the history keeps   7 how long a retry is known, ms
-- Result {epoch, offset} of the telling event; {} when the room is closed. An offset of another epoch, or one that
--        left the history, buries nothing; the telling event is appended all the same.
-- Closes the race between the deletion and a viewer who resumes, and the one with the copy to Postgres: the text is
-- out of history and copies before anybody can learn of the deletion. One message carries both, so a worker that
-- lost it sees a hole. And the one with a worker that gives lost words back: where those stand now, `once` knows;
-- and words that it knows under this epoch, if only as standing nowhere (0), are not given back any more.
local epoch = epoch_of(KEYS[1])
if not epoch then
  return {}
end
local at = {ARGV[2], ARGV[3]}
redis.call('HDEL', KEYS[3], at[1] .. ':' .. at[2])
local known = redis.call('HMGET', KEYS[4], 'epoch', 'offset')
if known[1] == epoch then
  at = known
  redis.call('HDEL', KEYS[3], at[1] .. ':' .. at[2])
else
  remember(KEYS[4], epoch, at[1] == epoch and at[2] or 0, ARGV[7])
end
local buried = tonumber(at[2])
local top = tonumber(redis.call('HGET', KEYS[1], 'top'))
if at[1] == epoch and buried <= top and top - buried < redis.call('LLEN', KEYS[2]) then
  redis.call('LSET', KEYS[2], buried - top - 1, ARGV[4])
else
  buried = 0
end
local offset = append(KEYS[1], KEYS[2], ARGV[5], ARGV[6])
publish(
  ARGV[1],
  'd ' .. epoch .. ' ' .. offset .. ' ' .. buried .. ' ' .. #ARGV[5] .. ' ' .. ARGV[5] .. ARGV[4]
)
return {epoch, offset}
