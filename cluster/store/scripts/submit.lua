-- Submits a task.
-- ARGV: 3 name, 4 version, 5 input, 6 recompute (0/1), 7 priority, 8 not_before (ms or ''), 9 check_after (ms),
--       10 event limit, 11 the request's token: a request that is repeated because its reply was lost gets the same
--       reply, 12 tenant, or '' (an id belongs to one tenant, as it is salted), 13 W3C trace context, or '',
--       14 an api node to register as a watcher of the end of an open task, as `watch` does, or '',
--       15 ttl of that entry (ms), 16 ttl of a result (ms), 17 how much longer a result stays that a submission found
--       shortly before its expiry (ms), 18 account: whose quotas and fair share the run counts against, or '',
--       19 step: the time that the run is expected to take, divided by its account's weight (ms)
-- Returns {outcome, dispatch (1: the caller must dispatch this attempt), record (without a long result)}, packed. If
-- the record is new, {outcome, dispatch, attempt, seq, submitted_at, turn}, which is all of it that the caller does
-- not know.
local name, version, input, tenant = ARGV[3], ARGV[4], ARGV[5], ARGV[12]
local function add_watcher()
  if ARGV[14] ~= '' then
    redis.call('HSETNX', WATCH, ARGV[14], 'f')
    redis.call('PEXPIRE', WATCH, ARGV[15])
  end
end
local state = load_task()
if state and get_field('token') == ARGV[11] then
  local dispatch = not is_final(state) and get_field('dispatched') == TASK.attempt
  return cmsgpack.pack({get_field('outcome'), dispatch and 1 or 0, read_brief_record()})
end
if state and not is_final(state) then
  redis.call('HINCRBY', RECORD, 'submissions', 1)
  add_watcher()
  return cmsgpack.pack({'JOINED', 0, read_brief_record()})
end
-- A submitter reads the result it is promised by a later request, and would wait for ever if the record expired in
-- between. So a record that is about to expire stays a little longer; only once, or it would never be computed again.
local function still_cached()
  local extra = tonumber(ARGV[17])
  if not TASK.expires_at or TASK.expires_at - NOW >= extra then return true end
  local due = tonumber(get_field('finished_at')) + tonumber(ARGV[16])
  if NOW >= due then return false end
  redis.call('HSET', RECORD, 'expires_at', int(due + extra))
  redis.call('ZADD', EXPIRY, int(due + extra), expiry_member(name, state, tenant))
  redis.call('PEXPIREAT', RECORD, int(due + extra))
  redis.call('PEXPIREAT', EVENTS, int(due + extra))
  return true
end
if state == 'SUCCEEDED' and ARGV[6] == '0' and still_cached() then
  redis.call('HINCRBY', RECORD, 'submissions', 1)
  return cmsgpack.pack({'CACHED', 0, read_brief_record()})
end
local outcome = state and 'RECOMPUTED' or 'NEW'
local attempt = 1
local account = ARGV[18] or ''
if state then
  drop_usage({ID})
  -- Attempts are numbered on, as a late attempt of the previous run may still write.
  attempt = tonumber(TASK.attempt) + 1
  redis.call('HDEL', RECORD, 'started_at', 'heard_at', 'finished_at', 'expires_at', 'progress', 'worker', 'error',
    'result', 'uncharged', 'unstored')
  redis.call('PERSIST', RECORD)
  redis.call('PERSIST', EVENTS)
  redis.call('ZREM', EXPIRY, expiry_member(name, state, tenant))
  unindex_state(name, state, tenant)
elseif TASK.attempt or redis.call('ZSCORE', INDEX .. ':*', ID) then
  -- A record that expired and was not pruned yet has left entries in the lists.
  for _, ended in ipairs({'SUCCEEDED', 'FAILED', 'CANCELLED'}) do
    redis.call('ZREM', EXPIRY, expiry_member(name, ended, tenant))
    unindex_state(name, ended, tenant)
  end
  redis.call('DEL', RECORD, EVENTS)
  drop_usage({ID})
  TASK.seq = 0
end
local not_before = tonumber(ARGV[8]) or 0
local dispatch = not_before <= NOW
local turn = dispatch and take_turn(account, ARGV[7], ARGV[19]) or ''
begin_usage(account, input)
CHANGES = {
  'name', name, 'version', version, 'input', input, 'state', 'QUEUED', 'attempt', attempt, 'submitted_at', NOW_TEXT,
  'priority', ARGV[7], 'not_before', ARGV[8], 'submissions', 1, 'lost', 0, 'retries', 0, 'undelivered', 0,
  'tenant', tenant, 'trace', ARGV[13], 'account', account, 'turn', turn,
  'step', ARGV[19] or '', 'token', ARGV[11], 'outcome', outcome,
  'dispatched', dispatch and attempt or attempt - 1,
}
TASK.state = 'QUEUED'
index(name, 'QUEUED', NOW_TEXT, tenant)
redis.call('ZADD', OPEN, dispatch and int(NOW + tonumber(ARGV[9])) or int(not_before), ID)
commit('QUEUED', attempt, ARGV[10])
add_watcher()
return cmsgpack.pack({outcome, dispatch and 1 or 0, attempt, TASK.seq, NOW, turn})
