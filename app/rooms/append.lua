-- Appends one event to a room: gives the offset, keeps the history, publishes.
-- KEYS   1 head (hash: epoch, top, server, unsure, lost)   2 log (list of events, the last at `top`)
-- ARGV   1 channel   2 event (JSON)   3 how many events the history keeps
-- Result {epoch, offset}; {} when the room is closed (never opened, or lost)
-- Closes the race between two workers that would give one offset twice, or publish in another order than the history.
local epoch = epoch_of(KEYS[1])
if not epoch then
  return {}
end
local offset = append(KEYS[1], KEYS[2], ARGV[2], ARGV[3])
publish(ARGV[1], 'm ' .. epoch .. ' ' .. offset .. ' ' .. ARGV[2])
return {epoch, offset}
