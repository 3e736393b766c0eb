-- What all scripts of rooms share: no script, but put before them by keys.py, after server.lua.
-- KEYS   none of its own
-- ARGV   none of its own
-- Result none: it defines what follows
-- Closes the race between a failover and whoever writes first after it: all ask epoch_of() before anything else.

-- The epoch of the room with this head, and until when (Unix ms) words may be a retry that only Postgres knows of; nil
-- when the room is closed: never opened, wiped, or written under another server, whose tail may be missing here. Such a
-- room is closed for good, also should that server ever come back.
local function epoch_of(head)
  local found = redis.call('HMGET', head, 'epoch', 'server', 'unsure')
  if found[1] and found[2] == this_server() then
    return found[1], tonumber(found[3] or 0)
  end
  if found[1] then
    redis.call('HDEL', head, 'epoch')
    redis.call('HSET', head, 'lost', found[1])
  end
  return nil
end

-- A key that was just made lives as long as the room.
local function live_with(head, key)
  local left = redis.call('PTTL', head)
  if left > 0 then
    redis.call('PEXPIRE', key, left)
  end
end

-- Gives the event its offset and puts it in the history.
local function append(head, log, event, history_max)
  local offset = redis.call('HINCRBY', head, 'top', 1)
  if redis.call('RPUSH', log, event) == 1 then
    live_with(head, log)
  end
  redis.call('LTRIM', log, -tonumber(history_max), -1)
  return offset
end

-- Milliseconds of Unix time by Valkey's clock.
local function clock_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- How long a person waits until their allowance has room for one more (GCRA): 0 and less when it has. Then the time at
-- which it would be full again.
local function wait_of(pace, every, burst, now)
  local full = math.max(tonumber(redis.call('GET', pace) or 0), now)
  return full + every - now - every * burst, full
end

-- Takes one out of the allowance that wait_of() spoke of.
local function spend(pace, every, full, now)
  redis.call('SET', pace, string.format('%.0f', full + every), 'PX', string.format('%.0f', full + every - now))
end

-- Remembers where words were said, for a retry.
local function remember(once, epoch, offset, ttl_ms)
  redis.call('HSET', once, 'epoch', epoch, 'offset', offset)
  redis.call('PEXPIRE', once, ttl_ms)
end

-- Publishes on the node that has the room; everywhere where the server knows no sharded channels.
local function publish(channel, message)
  local sent = redis.pcall('SPUBLISH', channel, message)
  if type(sent) == 'table' then
    redis.call('PUBLISH', channel, message)
  end
end
