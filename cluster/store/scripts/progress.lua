-- Heartbeat of a running attempt, with its progress and its output so far.
-- ARGV: 3 attempt, 4 fraction ('' for none), 5 check_after (ms), 6 event limit, 7 output so far (JSON; '' for none),
--   8 lines that the attempt has printed or logged since (append_log; '' for none), 9 message of the latest report and
--   10 its data (JSON; '' for none each); without both, those of the record stay
-- Returns 1, or 0 if the attempt must stop: the task has ended, was cancelled, or a newer attempt exists.
if load_task() ~= 'RUNNING' or TASK.attempt ~= ARGV[3] then return 0 end
redis.call('ZADD', OPEN, int(NOW + tonumber(ARGV[5])), ID)
redis.call('HSET', RECORD, 'heard_at', NOW_TEXT)
append_log(ARGV[3], ARGV[8])
local found = redis.call('HMGET', RECORD, 'progress', 'message', 'data')
local progress, changed = found[1] or '', false
local function change(field, before, now)
  if now == before then return end
  set_field(field, now)
  changed = true
end
if ARGV[4] ~= '' then
  change('progress', progress, ARGV[4])
  progress = ARGV[4]
end
local message, data = ARGV[9] or found[2] or '', ARGV[10] or found[3] or ''
change('message', found[2] or '', message)
change('data', found[3] or '', data)
if ARGV[7] ~= '' then set_field('result', ARGV[7]) end
if changed or ARGV[7] ~= '' then
  commit('PROGRESS', ARGV[3], ARGV[6], progress, message, data)
elseif ARGV[8] and ARGV[8] ~= '' then
  notify_followers()
end
return 1
