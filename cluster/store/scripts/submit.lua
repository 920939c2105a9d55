-- Claims a task for a submission.
-- ARGV: 3 name, 4 version, 5 input, 6 recompute (0/1), 7 priority, 8 not_before (ms or ''), 9 check_after (ms),
--       10 event limit, 11 the request's own token: a request that is repeated as its answer was lost hears the same again,
--       12 tenant, or ''. An id belongs to one tenant, as it is salted; 13 W3C trace context, or '',
--       14 an api node that waits for the end of an open task, as with `watch`, or '', 15 ttl of that note (ms)
-- Answers {outcome, dispatch (1: the caller must dispatch this attempt), record (without a long result)}, packed; of a record that begins here,
-- in place of it what the caller does not know: attempt, seq, submitted_at.
local name, version, input, tenant = ARGV[3], ARGV[4], ARGV[5], ARGV[12]
local function note()
  if ARGV[14] ~= '' then
    redis.call('HSETNX', WATCH, ARGV[14], 'f')
    redis.call('PEXPIRE', WATCH, ARGV[15])
  end
end
local state = load()
if state and get('token') == ARGV[11] then
  local dispatch = not final(state) and get('dispatched') == TASK.attempt
  return cmsgpack.pack({get('outcome'), dispatch and 1 or 0, brief()})
end
if state and not final(state) then
  redis.call('HINCRBY', RECORD, 'submissions', 1)
  note()
  return cmsgpack.pack({'JOINED', 0, brief()})
end
if state == 'SUCCEEDED' and ARGV[6] == '0' then
  redis.call('HINCRBY', RECORD, 'submissions', 1)
  return cmsgpack.pack({'CACHED', 0, brief()})
end
local outcome = state and 'RECOMPUTED' or 'NEW'
local attempt = 1
if state then
  -- The attempt goes on counting, as a late attempt of the former run may still write.
  attempt = tonumber(TASK.attempt) + 1
  redis.call('HDEL', RECORD, 'started_at', 'heard_at', 'finished_at', 'expires_at', 'progress', 'worker', 'error', 'result',
    'uncharged', 'unstored')
  redis.call('PERSIST', RECORD)
  redis.call('PERSIST', EVENTS)
  redis.call('ZREM', EXPIRY, ended_as(name, state, tenant))
  unindex_state(name, state, tenant)
elseif TASK.attempt or redis.call('ZSCORE', INDEX .. ':*', ID) then
  -- A record that expired and was not forgotten yet has left its places behind.
  for _, ended in ipairs({'SUCCEEDED', 'FAILED', 'CANCELLED'}) do
    redis.call('ZREM', EXPIRY, ended_as(name, ended, tenant))
    unindex_state(name, ended, tenant)
  end
  redis.call('DEL', RECORD, EVENTS)
  TASK.seq = 0
end
local not_before = tonumber(ARGV[8]) or 0
local dispatch = not_before <= NOW
CHANGES = {
  'name', name, 'version', version, 'input', input, 'state', 'QUEUED', 'attempt', attempt, 'submitted_at', NOW_TEXT,
  'priority', ARGV[7], 'not_before', ARGV[8], 'submissions', 1, 'lost', 0, 'retries', 0, 'undelivered', 0,
  'tenant', tenant, 'trace', ARGV[13], 'token', ARGV[11], 'outcome', outcome,
  'dispatched', dispatch and attempt or attempt - 1,
}
TASK.state = 'QUEUED'
index(name, 'QUEUED', NOW_TEXT, tenant)
redis.call('ZADD', OPEN, dispatch and int(NOW + tonumber(ARGV[9])) or int(not_before), ID)
tell('QUEUED', attempt, ARGV[10])
note()
return cmsgpack.pack({outcome, dispatch and 1 or 0, attempt, TASK.seq, NOW})
