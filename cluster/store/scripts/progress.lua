-- A running attempt tells that it lives, and how far it is.
-- ARGV: 3 attempt, 4 fraction ('' for none), 5 check_after (ms), 6 event limit
-- Answers 1, or 0 when the attempt must stop: the task has ended, was cancelled, or a newer attempt exists.
if exists() ~= 'RUNNING' or get('attempt') ~= ARGV[3] then return 0 end
redis.call('ZADD', OPEN, int(NOW + tonumber(ARGV[5])), ID)
if ARGV[4] ~= '' and get('progress') ~= ARGV[4] then
  redis.call('HSET', RECORD, 'progress', ARGV[4])
  tell('PROGRESS', 'RUNNING', ARGV[3], ARGV[6], ARGV[4])
end
return 1
