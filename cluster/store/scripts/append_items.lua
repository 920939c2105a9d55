-- A running attempt appends items to its stream; also its heartbeat.
-- ARGV: 3 attempt, 4 number of its items before these: 0 begins the stream anew, 5 check_after (ms), 6... items (JSON)
-- Returns 1; 0 if the attempt must stop, as for `progress`; -1 if items before these are missing, because Redis lost its
-- last writes. A call may be repeated, and a frozen server may run it after those that followed: items that are there
-- already are skipped, so none is ever taken away from an attempt.
if load_task() ~= 'RUNNING' or TASK.attempt ~= ARGV[3] then return 0 end
local before, length = tonumber(ARGV[4]), 0
if TASK.stream == ARGV[3] then
  length = redis.call('LLEN', items_key())
elseif before == 0 then
  redis.call('DEL', items_key())
end
if length < before then return -1 end
redis.call('ZADD', OPEN, int(NOW + tonumber(ARGV[5])), ID)
redis.call('HSET', RECORD, 'heard_at', NOW_TEXT, 'stream', ARGV[3])
local first_new = 6 + length - before
if first_new <= #ARGV then redis.call('RPUSH', items_key(), unpack(ARGV, first_new)) end
notify_followers()
return 1
