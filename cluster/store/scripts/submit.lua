-- Submits a task.
-- ARGV: 3 name, 4 version, 5 input, 6 recompute (0/1), 7 priority, 8 not_before (ms or ''), 9 check_after (ms),
--       10 event limit, 11 the request's token: a request that is repeated because its reply was lost gets the same
--       reply, 12 tenant, or '' (an id belongs to one tenant, as it is salted), 13 W3C trace context, or '',
--       14 an api node to register as a watcher of the end of an open task, as `watch` does, or '',
--       15 ttl of that entry (ms), 16 ttl of a result (ms), 17 how much longer a result stays that a submission found
--       shortly before its expiry (ms), 18 account: whose quotas and fair share the run counts against, or '',
--       19 not used,
--       20 who submits (`<name> <account> <title>`), or '',
--       21 the limits that the task is subject to, or '': it is held when it is due, and `claim_held` dispatches it,
--       22 ttl of this task's record (ms), or '' for that of all, which is never shorter, 23 when it must have started
--       (ms), or '', 24 how long after its submission, or after not_before, it must have started (ms), or '': 23 goes
--       first, 25 tags (JSON), or '', 26 webhooks to deliver its end to (deliver_webhooks), or '',
--       27 run key, which is part of the id, or '', 28 its depth if a running task submits it, or '': that task's worker
--       dispatches nothing, so what is due is left to the recoverer, 29 the salt of its tenant's ids, or '',
--       30 the larger pool for the attempt after one that runs out of memory, or ''
-- Returns {outcome, dispatch (1: the caller must dispatch this attempt), record (without a long result)}, packed. If
-- the run is new, {outcome, dispatch, attempt, seq, submitted_at, previous_at (or false), runs}, which is all of the
-- record that the caller does not know.
local name, version, input, tenant = ARGV[3], ARGV[4], ARGV[5], ARGV[12]
local own_ttl = tonumber(ARGV[22])
local webhooks, MAX_WEBHOOK_BYTES = ARGV[26] or '', 65536
local depth, salt = ARGV[28] or '', ARGV[29] or ''
-- When this submission would have the task started at the latest; nil for no such time.
local function latest_start()
  local within = tonumber(ARGV[24])
  return tonumber(ARGV[23]) or within and math.max(NOW, tonumber(ARGV[8]) or 0) + within
end
-- What is kept serves every submitter as long as that one asks. Returns whether the time to live is longer now.
local function lengthen_ttl()
  if not TASK.ttl or own_ttl and own_ttl <= TASK.ttl then return false end
  TASK.ttl = own_ttl
  if own_ttl then redis.call('HSET', RECORD, 'ttl', own_ttl) else redis.call('HDEL', RECORD, 'ttl') end
  return true
end
local function add_watcher()
  if ARGV[14] ~= '' then
    redis.call('HSETNX', WATCH, ARGV[14], 'f')
    redis.call('PEXPIRE', WATCH, ARGV[15])
  end
end
local state = load_task()
if state and get_field('token') == ARGV[11] then
  local dispatch = not is_final(state) and not TASK.limits and get_field('dispatched') == TASK.attempt
  return cmsgpack.pack({get_field('outcome'), dispatch and 1 or 0, read_brief_record()})
end
if state and not is_final(state) then
  -- Defined here, as defining them costs each call of the script.
  local function add_submitter(actor)
    local name = parse_actor(actor)
    local first, count, is_submitter = read_submitters(name)
    if is_submitter then return end
    local first_name = count == 1 and parse_actor(first)
    if first_name and not get_field('submitters') then redis.call('HSET', RECORD, 'by:' .. first_name, first) end
    if name and count < MAX_SUBMITTERS then redis.call('HSET', RECORD, 'by:' .. name, actor) end
    redis.call('HSET', RECORD, 'submitters', count + 1)
  end

  -- A task never keeps a submitter waiting longer than its own submission would have: it starts as early as any of
  -- its submitters allows, and has the highest priority that any of them gave it. The pause before a retry is not
  -- shortened. Returns whether the caller must dispatch the newest attempt.
  local function hasten()
    local found = redis.call('HMGET', RECORD, 'dispatched', 'not_before', 'priority')
    local is_dispatched = tonumber(found[1]) >= tonumber(TASK.attempt)
    local not_before = tonumber(ARGV[8]) or 0
    local is_sooner = not is_dispatched and (tonumber(found[2]) or 0) > math.max(NOW, not_before)
    local is_higher = tonumber(ARGV[7]) > (tonumber(found[3]) or 0)
    local attempt = tonumber(TASK.attempt)
    if is_higher then redis.call('HSET', RECORD, 'priority', ARGV[7]) end
    if is_sooner then
      set_field('not_before', ARGV[8])
      if not_before > NOW then redis.call('ZADD', OPEN, int(not_before), ID) end
    elseif is_higher and is_dispatched and state == 'QUEUED' then
      -- It waits in the scheduler with its old priority. The fence refuses that attempt when its turn comes.
      attempt = attempt + 1
      set_field('attempt', attempt)
    end
    local dispatch = is_sooner and not_before <= NOW or attempt > tonumber(TASK.attempt)
    -- A task with limits is held when it is due, in the order of its new priority.
    local limits = TASK.limits or (ARGV[21] or '') ~= '' and ARGV[21]
    local is_held = TASK.limits and redis.call('ZSCORE', SHARD .. ':held:' .. limits, ID)
    if limits and not is_dispatched and (dispatch or is_held and is_higher) then
      dispatch = false
      if not TASK.limits then set_field('limits', limits) end
      if hold(ID, limits, is_higher and ARGV[7] or found[3], TASK.submitted_at) then announce_woken() end
    end
    if dispatch and depth ~= '' then
      dispatch = false
      redis.call('ZADD', OPEN, NOW_TEXT, ID)
      announce_due()
    end
    if dispatch then
      -- A repeated request must get the same reply, or nobody would dispatch the attempt for a while.
      set_field('token', ARGV[11])
      set_field('outcome', 'JOINED')
      set_field('dispatched', attempt)
      redis.call('ZADD', OPEN, int(NOW + tonumber(ARGV[9])), ID)
    end
    if attempt > tonumber(TASK.attempt) then
      TASK.attempt = attempt
      commit('QUEUED', attempt, ARGV[10], '', 'joined by a submission with a higher priority')
    elseif #CHANGES > 0 then
      redis.call('HSET', RECORD, unpack(CHANGES))
    end
    return dispatch
  end

  -- Up to as many bytes as a client could send: a task that thousands join has bounded webhooks.
  local function add_webhooks()
    local all = ' ' .. (TASK.webhooks or '') .. ' '
    for webhook in string.gmatch(webhooks, '%S+') do
      if not string.find(all, ' ' .. webhook .. ' ', 1, true) and #all + #webhook < MAX_WEBHOOK_BYTES then
        all = all .. webhook .. ' '
      end
    end
    set_field('webhooks', string.match(all, '^%s*(.-)%s*$'))
  end

  redis.call('HINCRBY', RECORD, 'submissions', 1)
  add_submitter(ARGV[20])
  if webhooks ~= '' then add_webhooks() end
  lengthen_ttl()
  if TASK.start_before then
    -- It ends early only if no submitter would have waited longer.
    local at = latest_start()
    if not at or at > TASK.start_before then set_start_before(at) end
  end
  local dispatch = hasten()
  add_watcher()
  return cmsgpack.pack({'JOINED', dispatch and 1 or 0, read_brief_record()})
end
-- A submitter reads the result it is promised by a later request, and would wait for ever if the record expired in
-- between. So a record that is about to expire stays a little longer; only once, or it would never be computed again.
local function still_cached()
  local function expire_at(at)
    TASK.expires_at = at
    redis.call('HSET', RECORD, 'expires_at', int(at))
    redis.call('ZADD', EXPIRY, int(at), expiry_member(name, state, tenant))
    redis.call('PEXPIREAT', RECORD, int(at))
    redis.call('PEXPIREAT', EVENTS, int(at))
    redis.call('PEXPIREAT', log_key(), int(at))
    redis.call('PEXPIREAT', items_key(), int(at))
  end
  if not TASK.expires_at then return true end
  if lengthen_ttl() then
    if not own_ttl and ARGV[16] == '0' then
      redis.call('HDEL', RECORD, 'expires_at')
      redis.call('ZREM', EXPIRY, expiry_member(name, state, tenant))
      redis.call('PERSIST', RECORD)
      redis.call('PERSIST', EVENTS)
      redis.call('PERSIST', log_key())
      redis.call('PERSIST', items_key())
      return true
    end
    expire_at(math.max(TASK.expires_at, tonumber(get_field('finished_at')) + (own_ttl or tonumber(ARGV[16]))))
  end
  local ttl = TASK.ttl or tonumber(ARGV[16])
  local extra = math.min(tonumber(ARGV[17]), math.floor(ttl / 2))
  if TASK.expires_at - NOW >= extra then return true end
  local due = tonumber(get_field('finished_at')) + ttl
  if NOW >= due then return false end
  expire_at(due + extra)
  return true
end
if state == 'SUCCEEDED' and ARGV[6] == '0' and not get_field('made_by') and still_cached() then
  redis.call('HINCRBY', RECORD, 'submissions', 1)
  if webhooks ~= '' then deliver_webhooks(webhooks, state) end
  return cmsgpack.pack({'CACHED', 0, read_brief_record()})
end
local outcome = state and 'RECOMPUTED' or 'NEW'
local attempt, runs = 1, 1
local account = ARGV[18] or ''
if state then
  drop_usage({ID})
  -- Attempts are numbered on, as a late attempt of the previous run may still write.
  attempt = tonumber(TASK.attempt) + 1
  runs = (tonumber(get_field('runs')) or 1) + 1
  local result = state == 'SUCCEEDED' and get_field('result')
  if result then
    -- The old result stays readable until there is a new one.
    TASK.previous_at = get_field('finished_at')
    redis.call('HSET', RECORD, 'previous', result, 'previous_at', TASK.previous_at)
  end
  if get_field('submitters') then
    local old = {'submitters'}
    for _, field in ipairs(redis.call('HKEYS', RECORD)) do
      if string.sub(field, 1, 3) == 'by:' then old[#old + 1] = field end
    end
    redis.call('HDEL', RECORD, unpack(old))
  end
  redis.call('HDEL', RECORD, 'started_at', 'heard_at', 'finished_at', 'expires_at', 'progress', 'worker', 'error',
    'result', 'uncharged', 'unstored', 'cancelled_by', 'limits', 'ttl', 'start_before', 'checkpoint',
    'resumes', 'made_by', 'webhooks', 'message', 'data', 'children', 'depth', 'handed_back', 'pool', 'next_pool')
  -- The recoverer may not have withdrawn the children of the run before yet.
  if TASK.children then redis.call('PEXPIRE', children_key(), 3600000) end
  redis.call('PERSIST', RECORD)
  redis.call('PERSIST', EVENTS)
  if TASK.log then redis.call('DEL', log_key()) end
  redis.call('ZREM', EXPIRY, expiry_member(name, state, tenant))
  unindex_state(name, state, tenant)
elseif TASK.attempt or redis.call('ZSCORE', INDEX .. ':*', ID) then
  -- A record that expired and was not pruned yet has left entries in the lists.
  for _, ended in ipairs({'SUCCEEDED', 'FAILED', 'CANCELLED'}) do
    redis.call('ZREM', EXPIRY, expiry_member(name, ended, tenant))
    unindex_state(name, ended, tenant)
  end
  redis.call('DEL', RECORD, EVENTS, log_key(), items_key())
  drop_usage({ID})
  TASK.seq, TASK.previous_at, TASK.log = 0, nil, nil
end
local not_before = tonumber(ARGV[8]) or 0
local due, limits = not_before <= NOW, ARGV[21] or ''
local dispatch = due and limits == '' and depth == ''
local tags = ARGV[25] or ''
begin_usage(account, input, (TASK.previous_at and redis.call('HSTRLEN', RECORD, 'previous') or 0) + #tags + #webhooks)
CHANGES = {
  'name', name, 'version', version, 'input', input, 'state', 'QUEUED', 'attempt', attempt, 'submitted_at', NOW_TEXT,
  'priority', ARGV[7], 'not_before', ARGV[8], 'submissions', 1, 'lost', 0, 'retries', 0, 'undelivered', 0,
  'tenant', tenant, 'trace', ARGV[13], 'account', account,
  'submitted_by', ARGV[20] or '', 'token', ARGV[11], 'outcome', outcome, 'tags', tags,
  'dispatched', dispatch and attempt or attempt - 1,
}
if runs > 1 then set_field('runs', runs) end
if (ARGV[27] or '') ~= '' then set_field('run_key', ARGV[27]) end
if limits ~= '' then set_field('limits', limits) end
if own_ttl then set_field('ttl', own_ttl) end
if webhooks ~= '' then set_field('webhooks', webhooks) end
if depth ~= '' then set_field('depth', depth) end
if salt ~= '' then set_field('salt', salt) end
if (ARGV[30] or '') ~= '' then set_field('next_pool', ARGV[30]) end
local start_before = latest_start()
if start_before then set_start_before(start_before) end
-- The lines of the run before are gone; numbers continue.
if TASK.log then set_field('log', int((parse_log())) .. ' 0 0 0') end
TASK.was, TASK.state = state or '', 'QUEUED'
index(name, 'QUEUED', NOW_TEXT, tenant)
if due and limits ~= '' then
  if hold(ID, limits, ARGV[7], NOW) then announce_woken() end
else
  redis.call('ZADD', OPEN, dispatch and int(NOW + tonumber(ARGV[9])) or int(not_before), ID)
  if due and not dispatch then announce_due() end
end
commit('QUEUED', attempt, ARGV[10])
add_watcher()
return cmsgpack.pack({outcome, dispatch and 1 or 0, attempt, TASK.seq, NOW, TASK.previous_at or false, runs})
