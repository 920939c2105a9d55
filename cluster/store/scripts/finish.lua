-- An attempt delivers its result. ARGV: 3 attempt, 4 result, 5 ttl (ms, 0: for ever), 6 event limit,
--   7 bytes of the blobs that the attempt saved, 8 its last lines (append_log; '' for none), 9 the version of the code that made the
--   result, or '' if it is the record's: `submit` does not take it for a result of the record's version, 10 how it began, if its
--   start was deferred (record_deferred_start; or '')
-- Returns 1, or 0 if the fence refuses it. If the reply was lost and the call is repeated, returns 1 again. Returns 2
-- the first time if no earlier run's result was kept: then the blobs of all earlier attempts are of no use.
local state = load_task()
if TASK.attempt ~= ARGV[3] then return 0 end
if state ~= 'RUNNING' and not record_deferred_start(ARGV[10]) then
  return state == 'SUCCEEDED' and get_field('result') == ARGV[4] and 1 or 0
end
append_log(ARGV[3], ARGV[8])
set_field('result', ARGV[4])
set_field('progress', '1')
if (ARGV[9] or '') ~= '' then set_field('made_by', ARGV[9]) end
KEPT_BYTES = #ARGV[4] + (tonumber(ARGV[7]) or 0)
local had_previous = TASK.previous_at
if had_previous then
  KEPT_BYTES = KEPT_BYTES - redis.call('HSTRLEN', RECORD, 'previous')
  redis.call('HDEL', RECORD, 'previous', 'previous_at')
end
end_task('SUCCEEDED', ARGV[3], tonumber(ARGV[5]), ARGV[6], '1')
return had_previous and 1 or 2
