-- Heartbeat of a running attempt, with its progress and its output so far.
-- ARGV: 3 attempt, 4 fraction ('' for none), 5 check_after (ms), 6 event limit, 7 output so far (JSON; '' for none),
--   8 lines that the attempt has printed or logged since (append_log; '' for none)
-- Returns 1, or 0 if the attempt must stop: the task has ended, was cancelled, or a newer attempt exists.
if load_task() ~= 'RUNNING' or TASK.attempt ~= ARGV[3] then return 0 end
redis.call('ZADD', OPEN, int(NOW + tonumber(ARGV[5])), ID)
redis.call('HSET', RECORD, 'heard_at', NOW_TEXT)
append_log(ARGV[3], ARGV[8])
local progress = get_field('progress') or ''
local changed = ARGV[4] ~= '' and progress ~= ARGV[4]
if changed then
  progress = ARGV[4]
  set_field('progress', progress)
end
if ARGV[7] ~= '' then set_field('result', ARGV[7]) end
if changed or ARGV[7] ~= '' then
  commit('PROGRESS', ARGV[3], ARGV[6], progress)
elseif ARGV[8] and ARGV[8] ~= '' then
  notify_followers()
end
return 1
