-- Reads a task and, if it has not ended, registers the node as a watcher, in one step: no end can fall in between.
-- ARGV: 3 node id, 4 what it wants: 'f' (the final record) or 'e' (every event), 5 ttl of the entry (ms),
--       6 newest seq that it has ('' for no events)
-- Returns {events, record (without a long result)}, packed; no record if there is no such task (yet).
local state = load_task()
if not (state and is_final(state)) then
  -- 'e' includes the end, so it is not replaced by 'f'.
  redis.call(ARGV[4] == 'e' and 'HSET' or 'HSETNX', WATCH, ARGV[3], ARGV[4])
  redis.call('PEXPIRE', WATCH, ARGV[5])
end
if not state then return cmsgpack.pack({{}}) end
local events = {}
if ARGV[6] ~= '' then
  local after = tonumber(ARGV[6])
  -- A seq that was never reached belongs to an expired record: the events of the new one start at 1.
  if after > TASK.seq then after = 0 end
  local oldest = TASK.seq - redis.call('LLEN', EVENTS) + 1
  events = redis.call('LRANGE', EVENTS, math.max(0, after + 1 - oldest), -1)
end
return cmsgpack.pack({events, read_brief_record()})
