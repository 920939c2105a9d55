-- Changes the priority of an open task. ARGV: 3 priority, 4 event limit, 5 the actor, or '', 6 mode ('force', 'cancel',
-- 'cancel_any'; may_decide)
-- Returns {1, record, others, is_submitter, superseded} if it did: `superseded` is the attempt that the scheduler may
-- have and that the next one replaces, or 0; {0, record, others, is_submitter, 0} if the task has ended, or others want
-- it; or {0} if there is no such task; packed.
local state = load_task()
if not state then return cmsgpack.pack({0}) end
local others, is_submitter = count_others(ARGV[5])
local function reply(done, superseded)
  return cmsgpack.pack({done, read_brief_record(), others, is_submitter and 1 or 0, superseded})
end
if is_final(state) or not may_decide(ARGV[6], ARGV[5], others, is_submitter) then return reply(0, 0) end
local found = redis.call('HMGET', RECORD, 'priority', 'dispatched')
if found[1] == ARGV[3] then return reply(1, 0) end
redis.call('HSET', RECORD, 'priority', ARGV[3])
-- A running attempt goes on; the priority counts for later ones.
if state ~= 'QUEUED' then return reply(1, 0) end
local attempt, superseded = tonumber(TASK.attempt), 0
local is_dispatched = tonumber(found[2]) >= attempt
if is_dispatched then
  -- It waits in the scheduler with its old priority: the next attempt takes its place, as `recall` does.
  superseded, attempt = attempt, attempt + 1
  set_field('attempt', attempt)
end
if TASK.limits and (is_dispatched or redis.call('ZSCORE', SHARD .. ':held:' .. TASK.limits, ID)) then
  local freed = free_slots(ID, TASK.limits)
  if hold(ID, TASK.limits, ARGV[3], TASK.submitted_at) or freed then announce_woken() end
elseif is_dispatched then
  redis.call('ZADD', OPEN, NOW_TEXT, ID)
  redis.call('PUBLISH', PREFIX .. ':all', 'due')
end
if is_dispatched then commit('QUEUED', attempt, ARGV[4], '', 'its priority was changed to ' .. ARGV[3]) end
return reply(1, superseded)
