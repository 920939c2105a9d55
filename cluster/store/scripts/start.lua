-- A worker begins an attempt.
-- ARGV: 3 attempt, 4 worker, 5 check_after (ms), 6 event limit
-- Answers the reason why it must not run: 'GONE' (no record), 'STALE' (a newer attempt exists), 'ENDED', 'TAKEN' (this
-- attempt has begun elsewhere, and nobody speaks for it), 'ALIVE' (it has, and it was heard of lately); or 'RUN <waited>
-- <trace>': how long the task has waited since it might begin (ms; '' unless this is its first attempt), and its trace.
local state = load()
if not state then return 'GONE' end
if final(state) then return 'ENDED' end
if TASK.attempt ~= ARGV[3] then return 'STALE' end
local more = redis.call('HMGET', RECORD, 'trace', 'worker', 'lost', 'retries', 'undelivered', 'not_before')
local trace = more[1] or ''
if state == 'RUNNING' then
  -- The same worker asks again because our answer was lost: Dask runs a key in one place, and a name is used once.
  if more[2] == ARGV[4] then return 'RUN  ' .. trace end
  return NOW - heard_at() < 3000 and 'ALIVE' or 'TAKEN'
end
set('started_at', NOW_TEXT)
set('worker', ARGV[4])
move('RUNNING')
redis.call('ZADD', OPEN, int(NOW + tonumber(ARGV[5])), ID)
tell('STARTED', ARGV[3], ARGV[6])
local waited = ''
if more[3] == '0' and more[4] == '0' and more[5] == '0' then
  waited = int(NOW - math.max(tonumber(TASK.submitted_at), tonumber(more[6]) or 0))
end
return 'RUN ' .. waited .. ' ' .. trace
