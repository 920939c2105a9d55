-- A running attempt has stored its first checkpoint. ARGV: 3 attempt, 4 key of the blob
-- Returns 1, or 0 if the attempt must stop: the task has ended, was cancelled, or a newer attempt exists.
if load_task() ~= 'RUNNING' or TASK.attempt ~= ARGV[3] then return 0 end
redis.call('HSET', RECORD, 'checkpoint', ARGV[4])
return 1
