-- A worker starts an attempt.
-- ARGV: 3 attempt, 4 worker, 5 check_after (ms), 6 event limit, 7 ttl if it has expired (ms)
-- Returns why the attempt must not run: 'GONE' (no record), 'STALE' (a newer attempt exists), 'ENDED', 'ALIVE' (it runs
-- elsewhere and sent a heartbeat in the last 3 s), 'TAKEN' (it started elsewhere and is silent), 'EXPIRED' (it should
-- have started before: it has ended now). Or 'RUN <waited> <trace> <checkpoint> <tenant> <version>': how long the task
-- waited since it could have started (ms; '' unless this is its first attempt), its trace, the key of the blob with its
-- checkpoint, its tenant, and the version that it was submitted for, which may contain spaces.
local state = load_task()
if not state then return 'GONE' end
if is_final(state) then return 'ENDED' end
if TASK.attempt ~= ARGV[3] then return 'STALE' end
local more = redis.call('HMGET', RECORD, 'trace', 'worker', 'lost', 'retries', 'undelivered', 'not_before',
  'checkpoint', 'version')
local told = (more[1] or '') .. ' ' .. (more[7] or '') .. ' ' .. (TASK.tenant or '') .. ' ' .. more[8]
if state == 'RUNNING' then
  -- The same worker asks again because our reply was lost: Dask runs a key in one place, and a name is used once.
  if more[2] == ARGV[4] then return 'RUN  ' .. told end
  return NOW - last_heard_at() < 3000 and 'ALIVE' or 'TAKEN'
end
if TASK.start_before then
  if TASK.start_before <= NOW then
    expire_before_start(ARGV[7], ARGV[6])
    return 'EXPIRED'
  end
  set_start_before(nil)
end
local waited, bucket = '', ''
if more[3] == '0' and more[4] == '0' and more[5] == '0' then
  local since = NOW - math.max(tonumber(TASK.submitted_at), tonumber(more[6]) or 0)
  waited, bucket = int(since), time_bucket(since)
end
set_field('started_at', NOW_TEXT)
set_field('waited', bucket)
set_field('worker', ARGV[4])
move_to('RUNNING')
redis.call('ZADD', OPEN, int(NOW + tonumber(ARGV[5])), ID)
commit('STARTED', ARGV[3], ARGV[6], '', '', '', ARGV[4])
return 'RUN ' .. waited .. ' ' .. told
