-- For scripts that must know when Valkey is not the server that it was: no script, but put before some by Script.
-- KEYS   none of its own
-- ARGV   none of its own
-- Result none: it defines this_server()
-- Closes the race between a failover, or a restart from an old file, and the first script after it: what was written
-- under another server may lack its tail, whoever runs the script and over whichever connection.

-- The run id of the server that runs this script: new at each start, so also another after a failover.
local function this_server()
  local told = redis.call('INFO', 'server')
  local _, last = string.find(told, '\nrun_id:', 1, true)
  return last and string.sub(told, last + 1, last + 40) or ''
end
