-- What all scripts of rooms share: no script, but put before them by valkey_bus.py, after server.lua.
-- KEYS   none of its own
-- ARGV   none of its own
-- Result none: it defines epoch_of() and publish()
-- Closes the race between a failover and whoever writes first after it: all ask epoch_of() before anything else.

-- The epoch of the room with this head; nil when it is closed: never opened, wiped, or written under another server,
-- whose tail may be missing here. Such a room is closed for good, also should that server ever come back.
local function epoch_of(head)
  local found = redis.call('HMGET', head, 'epoch', 'server')
  if found[1] and found[2] == this_server() then
    return found[1]
  end
  if found[1] then
    redis.call('HDEL', head, 'epoch')
  end
  return nil
end

-- Publishes on the node that has the room; everywhere where the server knows no sharded channels.
local function publish(channel, message)
  local sent = redis.pcall('SPUBLISH', channel, message)
  if type(sent) == 'table' then
    redis.call('PUBLISH', channel, message)
  end
end
