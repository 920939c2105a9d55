-- A dispatcher releases an attempt that it could not hand to the scheduler. ARGV: 3 attempt
if load_task() ~= 'QUEUED' or TASK.attempt ~= ARGV[3] or get_field('dispatched') ~= ARGV[3] then return 0 end
redis.call('HSET', RECORD, 'dispatched', tonumber(ARGV[3]) - 1)
redis.call('ZADD', OPEN, NOW_TEXT, ID)
leave_limits()
return 1
