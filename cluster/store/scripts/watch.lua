-- A node asks for a task, and if it has not ended notes that it waits. One step, so that no end can fall between.
-- ARGV: 3 node id, 4 what it wants: 'f' (the final record) or 'e' (to hear of every event), 5 ttl of the note (ms),
--       6 newest seq that it has ('' for no events)
-- Answers {events, record (without a long result)}, packed; no record where there is no such task (yet).
local state = load()
if not (state and final(state)) then
  -- Who wants every event hears of the end, too.
  redis.call(ARGV[4] == 'e' and 'HSET' or 'HSETNX', WATCH, ARGV[3], ARGV[4])
  redis.call('PEXPIRE', WATCH, ARGV[5])
end
if not state then return cmsgpack.pack({{}}) end
local events = {}
if ARGV[6] ~= '' then
  local after = tonumber(ARGV[6])
  -- A number that was not reached belongs to a record that expired: the events of the new one begin at 1.
  if after > TASK.seq then after = 0 end
  local oldest = TASK.seq - redis.call('LLEN', EVENTS) + 1
  events = redis.call('LRANGE', EVENTS, math.max(0, after + 1 - oldest), -1)
end
return cmsgpack.pack({events, brief()})
