-- An attempt is lost: nothing runs it any more. The next caller of `claim_due` dispatches the new attempt.
-- ARGV: 3 attempt, 4 reason: 'worker' (it died with its worker, if it had started), 'memory' (as 'worker', and its worker
--         ran out of memory: the next attempt runs in the task's `next_pool`), 'undelivered' (it was dispatched
--         and the scheduler does not know it), 'none' (through no fault of the task), 'unbegun' (as 'none', unless it
--         has started), 'silent' (as 'none', unless it sent a heartbeat in the last 30 s),
--       5 limit of `lost`, 6 limit of `undelivered`, 7 error if a limit is reached (JSON), 8 ttl (ms), 9 event limit,
--       10 message, 11 limit of `uncharged`, which counts the other reasons, 12 whether to wake the recoverer (0/1),
--       13 check_after (ms), if the caller dispatches the next attempt itself, or '', 14 how it began, if its start was
--       deferred (record_deferred_start; or '')
-- Returns 'QUEUED'; 'MOVED <pool>' if the next attempt runs in a larger pool; {name, input, priority, account, resumes,
-- pool}, packed, if the caller must dispatch the next attempt; 'FAILED'; 'BEGUN' or 'HEARD' if the reason does not apply; or 'REFUSED' by the fence.
local state = load_task()
if not state or is_final(state) or TASK.attempt ~= ARGV[3] then return 'REFUSED' end
if state == 'RUNNING' then
  if ARGV[4] == 'unbegun' then return 'BEGUN' end
  if ARGV[4] == 'silent' and NOW - last_heard_at() < 30000 then return 'HEARD' end
end
if tonumber(get_field('dispatched')) < tonumber(ARGV[3]) then return 'REFUSED' end
if record_deferred_start(ARGV[14]) then state = 'RUNNING' end
local limit_reached, with_worker = false, ARGV[4] == 'worker' or ARGV[4] == 'memory'
if with_worker and state == 'RUNNING' then
  limit_reached = redis.call('HINCRBY', RECORD, 'lost', 1) >= tonumber(ARGV[5])
elseif ARGV[4] == 'undelivered' then
  limit_reached = redis.call('HINCRBY', RECORD, 'undelivered', 1) >= tonumber(ARGV[6])
elseif not with_worker then
  limit_reached = redis.call('HINCRBY', RECORD, 'uncharged', 1) >= tonumber(ARGV[11])
end
if limit_reached then
  end_with_error('FAILED', ARGV[3], ARGV[7], ARGV[8], ARGV[9], ARGV[10])
  return 'FAILED'
end
local attempt = tonumber(ARGV[3]) + 1
-- It has had its account's turn, also if its worker died before it started.
if state == 'RUNNING' or with_worker then set_field('resumes', 1) end
-- Only once: the field is gone then.
local moved = ARGV[4] == 'memory' and state == 'RUNNING' and get_field('next_pool')
local message = ARGV[10]
if moved then
  redis.call('HDEL', RECORD, 'next_pool')
  set_field('pool', moved)
  message = 'it goes on in the pool ' .. moved .. ': ' .. message
end
requeue(attempt)
-- A long input is left to `claim_due`, which limits the size of its reply; so is a task with limits, which needs slots.
local claimed = ARGV[13] ~= '' and not TASK.limits and redis.call('HSTRLEN', RECORD, 'input') <= 16384
if claimed then set_field('dispatched', attempt) end
redis.call('ZADD', OPEN, claimed and int(NOW + tonumber(ARGV[13])) or NOW_TEXT, ID)
commit('LOST', attempt, ARGV[9], '', message)
if ARGV[12] == '1' then redis.call('PUBLISH', PREFIX .. ':all', 'due') end
if claimed then
  return cmsgpack.pack(redis.call('HMGET', RECORD, 'name', 'input', 'priority', 'account', 'resumes', 'pool'))
end
return moved and 'MOVED ' .. moved or 'QUEUED'
