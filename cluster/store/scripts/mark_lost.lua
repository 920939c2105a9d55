-- An attempt is lost: nothing runs it any more. Whoever claims due tasks next dispatches the new attempt.
-- ARGV: 3 attempt, 4 charge: 'worker' (it died with its worker, if it had begun), 'undelivered' (it was dispatched and
--         the scheduler does not know it), 'none' (the platform's doing), 'unbegun' (as 'none', unless it has begun),
--         'silent' (as 'none', unless it was heard of in the last 30 s),
--       5 lost limit, 6 undelivered limit, 7 error when a limit is passed (JSON), 8 ttl (ms), 9 event limit, 10 message,
--       11 limit of 'none' and its like, 12 whether to tell the recoverer (0/1): it does not tell itself,
--       13 check_after (ms), where the caller dispatches the next attempt itself, or ''
-- Answers 'QUEUED', or {name, input, priority}, packed, where the caller dispatches the next attempt; 'FAILED', 'BEGUN' or 'HEARD' where the charge forbids it, or 'REFUSED' by the fence.
local state = load()
if not state or final(state) or TASK.attempt ~= ARGV[3] then return 'REFUSED' end
if state == 'RUNNING' then
  if ARGV[4] == 'unbegun' then return 'BEGUN' end
  if ARGV[4] == 'silent' and NOW - heard_at() < 30000 then return 'HEARD' end
end
if tonumber(get('dispatched')) < tonumber(ARGV[3]) then return 'REFUSED' end
local over = false
if ARGV[4] == 'worker' and state == 'RUNNING' then
  over = redis.call('HINCRBY', RECORD, 'lost', 1) >= tonumber(ARGV[5])
elseif ARGV[4] == 'undelivered' then
  over = redis.call('HINCRBY', RECORD, 'undelivered', 1) >= tonumber(ARGV[6])
elseif ARGV[4] ~= 'worker' then
  over = redis.call('HINCRBY', RECORD, 'uncharged', 1) >= tonumber(ARGV[11])
end
if over then
  local ttl = tonumber(ARGV[8])
  redis.call('HDEL', RECORD, 'result')
  set('error', ARGV[7])
  close('FAILED', ttl)
  tell('FAILED', ARGV[3], ARGV[9], '', ARGV[10])
  expire(ttl)
  return 'FAILED'
end
redis.call('HDEL', RECORD, 'progress', 'started_at', 'heard_at', 'worker', 'result')
set('attempt', tonumber(ARGV[3]) + 1)
move('QUEUED')
-- A long input is left to `claim_due`, which bounds what it answers.
local claimed = ARGV[13] ~= '' and redis.call('HSTRLEN', RECORD, 'input') <= 16384
if claimed then set('dispatched', tonumber(ARGV[3]) + 1) end
redis.call('ZADD', OPEN, claimed and int(NOW + tonumber(ARGV[13])) or NOW_TEXT, ID)
tell('LOST', tonumber(ARGV[3]) + 1, ARGV[9], '', ARGV[10])
if ARGV[12] == '1' then redis.call('PUBLISH', PREFIX .. ':all', 'due') end
if claimed then return cmsgpack.pack(redis.call('HMGET', RECORD, 'name', 'input', 'priority')) end
return 'QUEUED'
