-- Cancels an open task. ARGV: 3 ttl (ms), 4 event limit, 5 error (JSON)
-- Returns {1 if it was open, record}, or {0} if there is no such task, packed.
local state = load_task()
if not state then return cmsgpack.pack({0}) end
if is_final(state) then return cmsgpack.pack({0, read_brief_record()}) end
if state == 'QUEUED' then return_turn() end
end_with_error('CANCELLED', TASK.attempt, ARGV[5], ARGV[3], ARGV[4])
return cmsgpack.pack({1, read_record()})
