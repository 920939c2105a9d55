-- A running attempt tells that it lives, how far it is, and what there is of its output.
-- ARGV: 3 attempt, 4 fraction ('' for none), 5 check_after (ms), 6 event limit, 7 output so far (JSON; '' for none)
-- Answers 1, or 0 when the attempt must stop: the task has ended, was cancelled, or a newer attempt exists.
if load() ~= 'RUNNING' or TASK.attempt ~= ARGV[3] then return 0 end
redis.call('ZADD', OPEN, int(NOW + tonumber(ARGV[5])), ID)
redis.call('HSET', RECORD, 'heard_at', NOW_TEXT)
local progress = get('progress') or ''
local further = ARGV[4] ~= '' and progress ~= ARGV[4]
if further then
  progress = ARGV[4]
  set('progress', progress)
end
if ARGV[7] ~= '' then set('result', ARGV[7]) end
if further or ARGV[7] ~= '' then tell('PROGRESS', ARGV[3], ARGV[6], progress) end
return 1
