-- A running attempt appends items to its stream; also its heartbeat.
-- ARGV: 3 attempt, 4 number of its items before these: 0 begins the stream anew, 5 check_after (ms), 6... items (JSON)
-- Returns 1; 0 if the attempt must stop, as for `progress`; -1 if items before these are missing, because Redis lost its
-- last writes. A call may be repeated: what it appended before is replaced.
if load_task() ~= 'RUNNING' or TASK.attempt ~= ARGV[3] then return 0 end
local before = tonumber(ARGV[4])
if before == 0 then
  redis.call('DEL', items_key())
elseif TASK.stream ~= ARGV[3] or redis.call('LLEN', items_key()) < before then
  return -1
else
  redis.call('LTRIM', items_key(), 0, before - 1)
end
redis.call('ZADD', OPEN, int(NOW + tonumber(ARGV[5])), ID)
redis.call('HSET', RECORD, 'heard_at', NOW_TEXT, 'stream', ARGV[3])
if #ARGV > 5 then redis.call('RPUSH', items_key(), unpack(ARGV, 6)) end
local watchers = redis.call('HGETALL', WATCH)
for i = 1, #watchers, 2 do
  if watchers[i + 1] == 'e' then redis.call('PUBLISH', PREFIX .. ':node:' .. watchers[i], ID) end
end
return 1
