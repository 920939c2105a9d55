-- Reads the lines of a task after a number. With a node, registers it as a watcher of every event unless the task has
-- ended, in the same step: no line can fall in between.
-- ARGV: 3 node id, or '', 4 ttl of its entry (ms), 5 number of the newest line that the caller has
-- Returns {lines (some of them may be ones that the caller has), record (without a long result)}, packed; {{}} if there
-- is no such task (yet). A number that was never reached belongs to an expired record: the lines begin anew.
local state = load_task()
if ARGV[3] ~= '' and not (state and is_final(state)) then
  redis.call('HSET', WATCH, ARGV[3], 'e')
  redis.call('PEXPIRE', WATCH, ARGV[4])
end
if not state then return cmsgpack.pack({{}}) end
local newest, after, lines = parse_log(), tonumber(ARGV[5]), {}
if after > newest then after = 0 end
-- Numbers jump where lines were dropped, so there are at most this many.
if newest > after then lines = redis.call('LRANGE', log_key(), int(after - newest), -1) end
return cmsgpack.pack({lines, read_brief_record()})
