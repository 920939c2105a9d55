-- Prefixed to every script, without the functions that it does not use (lua_source.py: a function ends with `end` at the
-- start of a line, or on its first line). The keys of one task, all in one shard (hash tag), so that they are on one
-- node of a cluster:
--   KEYS[1]  {shard}:task:<id>    hash    the record (fields: record.py, FIELDS)
--   KEYS[2]  {shard}:events:<id>  list    the newest events, JSON, oldest first; their seq have no gaps
--   KEYS[3]  {shard}:watch:<id>   hash    node id -> "f" (notify of the final record) or "e" (notify of every event)
--   KEYS[4]  {shard}:open         zset    ids of open tasks -> when each is due, ms
--   KEYS[5]  {shard}:index        base name of the lists, zsets of ids -> submitted_at, ms:
--              index:*, index:s:<state>, index:n:<name>, index:n:<name>:s:<state>; with a tenant also
--              index:t:<tenant>:*, ...
--   KEYS[6]  {shard}:expiry       zset    "<id> <name> <state> <tenant>" of ended tasks -> when to prune them, ms
--   KEYS[7]  {shard}:blobs        zset    ids of tasks that may have blobs -> when to check whether they can be
--              deleted, ms; only for the scripts that say so
-- and these of the same shard, whose names are built from KEYS[4]:
--   {shard}:usage         hash    account -> open tasks * 2^42 + bytes: what the account's tasks use
--   {shard}:kept          hash    id -> "<account> <bytes> <1 while open, 0 after>": what the task counts for in `usage`
--   {shard}:logs:<id>     list    the newest lines that the task has printed or logged (append_log)
--   {shard}:items:<id>    list    the items of the task's stream, JSON (append_items.lua)
--   {shard}:start_before  zset    ids of tasks that have not started -> when they must have, ms
--   {shard}:changes       hash    the shard's newest changes, while an api node wants them (record_change)
--   {shard}:deliveries    zset    ids of webhook deliveries -> when each is due, ms (deliver_webhooks)
-- ARGV[1] is the key prefix, ARGV[2] the task id; the script's own arguments follow.
-- All times are the server's, in milliseconds: nodes with wrong clocks cannot disagree.
local RECORD, EVENTS, WATCH, OPEN, INDEX, EXPIRY = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local BLOBS = KEYS[7]
local SHARD = OPEN and string.sub(OPEN, 1, -6)
local PREFIX, ID = ARGV[1], ARGV[2]
local clock = redis.call('TIME')
-- As text and as a number: formatting a number costs as much in Lua as a short command costs in Redis.
local NOW_TEXT = clock[1] .. string.sub('00000' .. clock[2], -6, -4)
local NOW = tonumber(NOW_TEXT)

-- A result, and a record in a notification, is included unasked only up to this size.
local MAX_INCLUDED_BYTES = 4096

-- tostring would write numbers above 1e14 in exponent form.
local function int(number) return string.format('%.0f', number) end

-- FIELDS and FIELDS_BUT_RESULT stand for the names in record.py, and RESULT_AT, ERROR_AT and INPUT_AT for positions in
-- them; they are replaced when the script is loaded.
local function read_record() return redis.call('HMGET', RECORD, FIELDS) end

-- The record without a long result: most callers do not need it, and those that do read it separately.
local function read_brief_record()
  local record = redis.call('HMGET', RECORD, FIELDS_BUT_RESULT)
  local length = redis.call('HSTRLEN', RECORD, 'result')
  record[RESULT_AT] = length > 0 and length <= MAX_INCLUDED_BYTES and redis.call('HGET', RECORD, 'result')
  return record
end

local function get_field(field) return redis.call('HGET', RECORD, field) end

-- Redis expires keys lazily, so a reader must check the time itself.
local function has_expired(expires_at)
  local at = tonumber(expires_at)
  return at and at <= NOW
end

-- The task at the start of the script. Its state is false if there is no record, or an expired one.
local TASK
local function load_task()
  local found = redis.call('HMGET', RECORD, 'state', 'attempt', 'seq', 'name', 'submitted_at', 'tenant', 'expires_at',
    'previous_at', 'limits', 'ttl', 'start_before', 'log',
    'stream', 'webhooks', 'started_at', 'waited', 'children')
  TASK = {state = not has_expired(found[7]) and found[1], attempt = found[2], seq = tonumber(found[3]) or 0,
    name = found[4], submitted_at = found[5], tenant = found[6], expires_at = tonumber(found[7]),
    previous_at = found[8], limits = found[9], ttl = tonumber(found[10]), start_before = tonumber(found[11]),
    log = found[12], stream = found[13], webhooks = found[14],
    started_at = tonumber(found[15]), waited = found[16], children = found[17]}
  return TASK.state
end

-- The last heartbeat of the running attempt, or its start.
local function last_heard_at()
  local times = redis.call('HMGET', RECORD, 'heard_at', 'started_at')
  return math.max(tonumber(times[1] or 0) or 0, tonumber(times[2] or 0) or 0)
end

-- Changes of the record, written together by `commit`.
local CHANGES = {}
local function set_field(field, value)
  CHANGES[#CHANGES + 1] = field
  CHANGES[#CHANGES + 1] = value
end

local function is_final(state) return state == 'SUCCEEDED' or state == 'FAILED' or state == 'CANCELLED' end

-- The base names of the lists that contain a task: everyone's, and its tenant's if it has one.
local function index_bases(tenant)
  if tenant and tenant ~= '' then return {INDEX, INDEX .. ':t:' .. tenant} end
  return {INDEX}
end

local function index_state(name, state, score, tenant)
  for _, base in ipairs(index_bases(tenant)) do
    redis.call('ZADD', base .. ':s:' .. state, score, ID)
    redis.call('ZADD', base .. ':n:' .. name .. ':s:' .. state, score, ID)
  end
end

local function index(name, state, score, tenant)
  for _, base in ipairs(index_bases(tenant)) do
    redis.call('ZADD', base .. ':*', score, ID)
    redis.call('ZADD', base .. ':n:' .. name, score, ID)
  end
  index_state(name, state, score, tenant)
end

local function unindex_state(name, state, tenant)
  for _, base in ipairs(index_bases(tenant)) do
    redis.call('ZREM', base .. ':s:' .. state, ID)
    redis.call('ZREM', base .. ':n:' .. name .. ':s:' .. state, ID)
  end
end

-- The task's member in EXPIRY.
local function expiry_member(name, state, tenant) return ID .. ' ' .. name .. ' ' .. state .. ' ' .. (tenant or '') end

-- Moves the task to a state, in its record and in the lists.
local function move_to(state)
  if TASK.state ~= state then
    TASK.was = TASK.state
    unindex_state(TASK.name, TASK.state, TASK.tenant)
    index_state(TASK.name, state, TASK.submitted_at, TASK.tenant)
    TASK.state = state
    set_field('state', state)
  end
end

-- The notification of an end to a node that watches for nothing else: the task's id, then the packed record, which
-- saves the node a read. A long record is left out: Redis disconnects a subscriber with too much in its output buffer.
local function final_notification()
  local record = read_record()
  if #record[INPUT_AT] + #(record[ERROR_AT] or '') + #(record[RESULT_AT] or '') > MAX_INCLUDED_BYTES then return ID end
  return ID .. cmsgpack.pack(record)
end

-- The changes of a shard, as long as an api node wants them (read_changes.lua): a ring. Fields: `last`, the number of the
-- newest one; its number modulo CHANGES_KEPT -> the change; `armed`, if the nodes want to be notified of the next one.
local CHANGES_KEPT = 4096

local function changes_key() return SHARD .. ':changes' end

-- Packed: number, id, state before (or ''), event (JSON), then what a filter asks first: name, tenant, submitted_at,
-- tags, submitted_by.
local function record_change(event)
  local number = redis.call('HINCRBY', changes_key(), 'last', 1)
  local change = redis.call('HMGET', RECORD, 'name', 'tenant', 'submitted_at', 'tags', 'submitted_by')
  redis.call('HSET', changes_key(), number % CHANGES_KEPT,
    cmsgpack.pack({number, ID, TASK.was or TASK.state, event, unpack(change)}))
  if redis.call('HDEL', changes_key(), 'armed') == 1 then
    redis.call('PUBLISH', PREFIX .. ':changes', string.sub(SHARD, -2, -2))
  end
end

-- Bucket 0 is less than a millisecond; bucket n is from 2 ^ ((n - 1) / 2) ms to 2 ^ (n / 2) ms (log_histogram.py).
local function time_bucket(milliseconds)
  if milliseconds < 1 then return 0 end
  return math.floor(2 * math.log(milliseconds) / math.log(2) + 1e-9) + 1
end

-- The STARTED event of an attempt whose start was deferred: it is recorded with what follows.
local DEFERRED

-- The attempt has run after `read_starts`, without `start`. `began`: '<how long ago, ms> <how long the task had waited
-- before, ms, or ''> <worker>', or ''. Returns whether this is such an attempt; then it counts as RUNNING from here on.
local function record_deferred_start(began)
  if TASK.state ~= 'QUEUED' or (began or '') == '' then return false end
  local ago, waited, worker = string.match(began, '^(%d+) (%d*) (.*)$')
  TASK.started_at = NOW - tonumber(ago)
  TASK.waited = waited ~= '' and time_bucket(tonumber(waited)) or ''
  TASK.worker = worker
  TASK.seq = TASK.seq + 1
  DEFERRED = cjson.encode({seq = TASK.seq, kind = 'STARTED', state = 'RUNNING', attempt = tonumber(TASK.attempt),
    at = TASK.started_at, worker = worker})
  return true
end

-- Writes the changes, appends an event, and notifies the nodes that watch for it. A notification is only a hint: the
-- record is the truth.
local function commit(kind, attempt, event_limit, progress, message, data, worker)
  TASK.seq = TASK.seq + 1
  set_field('seq', TASK.seq)
  redis.call('HSET', RECORD, unpack(CHANGES))
  local event = {seq = TASK.seq, kind = kind, state = TASK.state, attempt = tonumber(attempt), at = NOW}
  if progress and progress ~= '' then event.progress = tonumber(progress) end
  if message and message ~= '' then event.message = message end
  event.worker = worker
  local line = cjson.encode(event)
  local change = line
  if data and data ~= '' then
    -- A string of JSON: decoded here, its numbers would change. The changes of the shard are without it, as they are many.
    event.data = data
    line = cjson.encode(event)
  end
  if DEFERRED then redis.call('RPUSH', EVENTS, DEFERRED, line) else redis.call('RPUSH', EVENTS, line) end
  -- The list is never longer than the newest seq.
  if TASK.seq > tonumber(event_limit) then redis.call('LTRIM', EVENTS, -tonumber(event_limit), -1) end
  -- One command for the usual case: nobody watches this task, and nobody wants the changes of the shard.
  local found = redis.call('EXISTS', WATCH, changes_key())
  if found == 0 then return end
  local watchers, ended = redis.call('HGETALL', WATCH), is_final(TASK.state)
  if found == 2 or #watchers == 0 then
    if DEFERRED then
      TASK.was = 'QUEUED'
      record_change(DEFERRED)
      TASK.was = 'RUNNING'
    end
    record_change(change)
  end
  local notification
  for i = 1, #watchers, 2 do
    local wants = watchers[i + 1]
    if ended or wants == 'e' then
      if wants == 'f' then notification = notification or final_notification() end
      redis.call('PUBLISH', PREFIX .. ':node:' .. watchers[i], wants == 'f' and notification or ID)
    end
  end
  if ended and #watchers > 0 then redis.call('DEL', WATCH) end
end

-- Notifies the nodes that watch for every event of something that is none: items of a stream, lines of the log.
local function notify_followers()
  local watchers = redis.call('HGETALL', WATCH)
  for i = 1, #watchers, 2 do
    if watchers[i + 1] == 'e' then redis.call('PUBLISH', PREFIX .. ':node:' .. watchers[i], ID) end
  end
end

-- Usage of accounts ----------------------------------------------------------------------------------------------------
-- A task counts once: what `kept` says of it is what it has added to `usage`, so it can always be taken back exactly.

-- What a record takes besides input and result: fields, events, entries in the lists.
local RECORD_BYTES = 1500

-- Open tasks and bytes are one number, so that one command changes both: open * 2^42 + bytes.
local OPEN_TASK = 4398046511104

local function change_usage(account, open, bytes)
  local by = open * OPEN_TASK + bytes
  if by ~= 0 and redis.call('HINCRBY', SHARD .. ':usage', account, int(by)) <= 0 then
    redis.call('HDEL', SHARD .. ':usage', account)
  end
end

-- A new run begins to count; `previous`: the bytes of the result of the run before, which it keeps.
local function begin_usage(account, input, previous)
  if account == '' then return end
  local bytes = RECORD_BYTES + #input + previous
  redis.call('HSET', SHARD .. ':kept', ID, account .. ' ' .. bytes .. ' 1')
  change_usage(account, 1, bytes)
end

-- The task has ended, and keeps `added` bytes more than before.
local function end_usage(added)
  local entry = redis.call('HGET', SHARD .. ':kept', ID)
  if not entry then return end
  local account, bytes, open = string.match(entry, '^(%S+) (%d+) (%d)$')
  redis.call('HSET', SHARD .. ':kept', ID, account .. ' ' .. int(bytes + added) .. ' 0')
  change_usage(account, -open, added)
end

-- These tasks count no more: they are gone, or begin anew.
local function drop_usage(ids)
  local entries, open, bytes = redis.call('HMGET', SHARD .. ':kept', unpack(ids)), {}, {}
  for _, entry in ipairs(entries) do
    if entry then
      local account, kept, is_open = string.match(entry, '^(%S+) (%d+) (%d)$')
      open[account], bytes[account] = (open[account] or 0) + is_open, (bytes[account] or 0) + kept
    end
  end
  if next(open) then redis.call('HDEL', SHARD .. ':kept', unpack(ids)) end
  for account in pairs(open) do change_usage(account, -open[account], -bytes[account]) end
end

-- Bytes that an end adds to what the task keeps: its result or error, and the blobs of the attempt.
local KEPT_BYTES = 0

-- The submitters of an open task: the callers who want it. One that nobody has joined has only `submitted_by`. Once
-- there are several, `submitters` counts them and each has a field `by:<name>`, up to this number of them: a submitter
-- beyond it cannot withdraw.
local MAX_SUBMITTERS = 1000

-- What identifies an actor (`<name> <account> <title>`), and its account; nothing if it is unknown.
local function parse_actor(actor) return string.match(actor or '', '^(%S+) (%S*)') end

-- Who began the run, how many submitters there are, and whether `name` is one of them.
local function read_submitters(name)
  local found = redis.call('HMGET', RECORD, 'submitted_by', 'submitters', 'by:' .. (name or ''))
  local first = found[1] or ''
  if found[2] then return first, tonumber(found[2]), found[3] and true end
  return first, 1, name ~= nil and parse_actor(first) == name
end

-- Of the others who want the task, besides this actor: how many, and whether the actor is a submitter too.
local function count_others(actor)
  local _, count, is_submitter = read_submitters(parse_actor(actor))
  return is_submitter and count - 1 or count, is_submitter
end

-- The account of the only submitter; nothing if it is unknown.
local function only_account()
  local found = redis.call('HMGET', RECORD, 'submitted_by', 'submitters')
  if not found[2] then return select(2, parse_actor(found[1])) end
  for _, field in ipairs(redis.call('HKEYS', RECORD)) do
    if string.sub(field, 1, 3) == 'by:' then return select(2, parse_actor(get_field(field))) end
  end
end

-- Whether an actor may decide about the task, by mode: 'force': always; 'cancel': if no other submitter wants it, or if
-- the actor is no submitter and the only one has the actor's account; 'cancel_any': the same, of whatever account.
local function may_decide(mode, actor, others, is_submitter)
  if mode == 'force' or others == 0 then return true end
  if is_submitter or others > 1 then return false end
  local owner = mode == 'cancel' and only_account()
  return not owner or owner == select(2, parse_actor(actor))
end

-- Limits: what follows concerns only tasks whose record has `limits`. Keys, all of the shard:
--   {shard}:held            set     the lists of limits that held tasks have
--   {shard}:held:<limits>   zset    ids of held tasks with this list of limits -> their order
--   {shard}:slots:<limit>   set     ids of tasks with an attempt that was dispatched or runs: each holds a slot
--   {shard}:woken           set     what may have room: '+<limits>' (a task was held), '-<limit>' (a slot was freed)
--   {shard}:claimer         string  the newest claimer of held tasks; an older one is refused

-- The names of the limits in a list: 't:etl=4 a:acme' has 't:etl' and 'a:acme'.
local function limit_names(limits)
  local names = {}
  for name in string.gmatch(limits, '([^ =]+)=?[^ ]*') do names[#names + 1] = name end
  return names
end

local function announce_woken() redis.call('PUBLISH', PREFIX .. ':all', 'woken') end

-- Holds a task that has no dispatched attempt: by priority, then by submission. Returns whether it is the first of its
-- kind in this shard: then the caller announces it, as the claimer does not know of it.
local function hold(id, limits, priority, submitted_at)
  local held = SHARD .. ':held:' .. limits
  redis.call('ZREM', OPEN, id)
  redis.call('ZADD', held, int((100 - tonumber(priority)) * 2 ^ 41 + tonumber(submitted_at)), id)
  if redis.call('ZRANK', held, id) > 0 then return false end
  redis.call('SADD', SHARD .. ':held', limits)
  redis.call('SADD', SHARD .. ':woken', '+' .. limits)
  return true
end

-- Removes a task from those held. Returns whether it was one of them.
local function unhold(id, limits)
  if redis.call('ZREM', SHARD .. ':held:' .. limits, id) == 0 then return false end
  if redis.call('EXISTS', SHARD .. ':held:' .. limits) == 0 then redis.call('SREM', SHARD .. ':held', limits) end
  return true
end

-- Frees the slots of a task. Returns whether it had any.
local function free_slots(id, limits)
  local freed = false
  for _, limit in ipairs(limit_names(limits)) do
    if redis.call('SREM', SHARD .. ':slots:' .. limit, id) == 1 then
      redis.call('SADD', SHARD .. ':woken', '-' .. limit)
      freed = true
    end
  end
  return freed
end

-- The task ends, or its attempt does: it is no longer held and holds no slot.
local function leave_limits()
  if not TASK.limits then return end
  unhold(ID, TASK.limits)
  if free_slots(ID, TASK.limits) then announce_woken() end
end

-- The task must start before this time (ms), or it ends; nil: it may start whenever.
local function set_start_before(at)
  TASK.start_before = at
  if at then
    redis.call('HSET', RECORD, 'start_before', int(at))
    redis.call('ZADD', SHARD .. ':start_before', int(at), ID)
  else
    redis.call('HDEL', RECORD, 'start_before')
    redis.call('ZREM', SHARD .. ':start_before', ID)
  end
end

-- Lines that a task has printed or logged: the newest ones, up to these limits.
local MAX_LOG_LINES, MAX_LOG_BYTES = 200, 65536

local function log_key() return SHARD .. ':logs:' .. ID end

-- The field `log`: number of the newest line, bytes of the list, attempt of the newest line, its number in that attempt.
local function parse_log()
  local newest, bytes, attempt, seen = string.match(TASK.log or '', '^(%d+) (%d+) (%d+) (%d+)$')
  return tonumber(newest) or 0, tonumber(bytes) or 0, attempt, tonumber(seen) or 0
end

-- Appends lines of an attempt. `lines`: the number of the first one within the attempt, then each as '<age, ms> <level>
-- <text>', separated by line feeds. A call may be repeated, so lines that are there already are skipped. Numbers jump
-- where the worker has dropped lines.
local function append_log(attempt, lines)
  if not lines or lines == '' then return end
  local newest, bytes, of, seen = parse_log()
  if of ~= attempt then seen = 0 end
  local first, rest = string.match(lines, '^(%d+)\n(.*)$')
  local number = tonumber(first) - 1
  for line in string.gmatch(rest, '[^\n]+') do
    number = number + 1
    if number > seen then
      newest, seen = newest + number - seen, number
      local age, text = string.match(line, '^(%d+) (.*)$')
      line = int(newest) .. ' ' .. attempt .. ' ' .. int(NOW - tonumber(age)) .. ' ' .. text
      local count = redis.call('RPUSH', log_key(), line)
      bytes = bytes + #line
      while count > MAX_LOG_LINES or bytes > MAX_LOG_BYTES do
        bytes, count = bytes - #redis.call('LPOP', log_key()), count - 1
      end
    end
  end
  TASK.log = int(newest) .. ' ' .. int(bytes) .. ' ' .. attempt .. ' ' .. int(seen)
  redis.call('HSET', RECORD, 'log', TASK.log)
end

-- What the lines count for in `usage` once the task has ended.
local function log_bytes()
  local _, bytes = parse_log()
  return bytes
end

local function items_key() return SHARD .. ':items:' .. ID end

-- The tasks that this run has submitted.
local function children_key() return SHARD .. ':children:' .. ID .. ':' .. TASK.submitted_at end

-- Tells the recoverer that a task waits to be dispatched, or children to be withdrawn.
local function announce_due() redis.call('PUBLISH', PREFIX .. ':all', 'due') end

-- The run has ended: its children are kept as long as its record. Unless it succeeded, it no longer wants them.
local function leave_children(state, ttl)
  if ttl > 0 then redis.call('PEXPIRE', children_key(), ttl) end
  if state ~= 'SUCCEEDED' then
    redis.call('ZADD', SHARD .. ':unwanted', NOW_TEXT, ID .. ' ' .. TASK.submitted_at)
    announce_due()
  end
end

-- Deliveries of webhooks. Keys, all of the shard:
--   {shard}:delivery:<id>            hash  task, run, account, to, name, state, at, status, tries, reply, tried_at
--   {shard}:deliveries               zset  ids of those that are not done -> when each is due, ms
--   {shard}:delivery_list:<account>  zset  ids of all that an account has -> when they came to be, ms

-- An account keeps the newest of them in each shard, for this long.
local MAX_DELIVERIES, DELIVERY_TTL = 1000, 864000000

-- The task has ended: every webhook in the list ('<account>|<webhook id or URL>', separated by spaces) gets a delivery,
-- or, if this run has one for it, that one is due again.
local function deliver_webhooks(webhooks, state)
  for webhook in string.gmatch(webhooks, '%S+') do
    local account, to = string.match(webhook, '^([^|]*)|(.*)$')
    local id = 'msg_' .. string.sub(ID, 1, 1) .. redis.sha1hex(ID .. ' ' .. TASK.submitted_at .. ' ' .. webhook)
    local key, list = SHARD .. ':delivery:' .. id, SHARD .. ':delivery_list:' .. account
    redis.call('HSET', key, 'task', ID, 'run', TASK.submitted_at, 'account', account, 'to', to, 'name', TASK.name,
      'state', state, 'at', NOW_TEXT, 'status', 'PENDING', 'tries', 0, 'reply', '', 'tried_at', '')
    redis.call('PEXPIRE', key, DELIVERY_TTL)
    redis.call('ZADD', SHARD .. ':deliveries', NOW_TEXT, id)
    redis.call('ZADD', list, NOW_TEXT, id)
    redis.call('PEXPIRE', list, DELIVERY_TTL)
    if redis.call('ZCARD', list) > MAX_DELIVERIES then
      local oldest = redis.call('ZRANGE', list, 0, 0)[1]
      redis.call('ZREM', list, oldest)
      redis.call('ZREM', SHARD .. ':deliveries', oldest)
      redis.call('DEL', SHARD .. ':delivery:' .. oldest)
    end
  end
  redis.call('PUBLISH', PREFIX .. ':all', 'delivery')
end

-- The minutes of the history: {shard}:ends:<minutes since 1970> is a hash of
-- '<first letter of the state> <bucket of the wait> <bucket of the run> <name> <tenant> <code of the error>' -> tasks.
-- One field for all of it, so that an end costs one command. An api node adds them up within seconds and deletes the hash
-- (history_keeper.py); without one, it expires.
local ENDS_TTL = 7200000
-- A task may make up its code, even from its input: beyond so many fields, new ones are counted without it.
local MAX_ENDS_WITH_CODE = 1000

-- Counts an end. `waited` is the bucket that `start` has noted.
local function count_end(state)
  local started_at = TASK.started_at
  local field = string.sub(state, 1, 1) .. ' ' .. (started_at and TASK.waited or '') .. ' '
    .. (started_at and time_bucket(NOW - started_at) or '') .. ' ' .. TASK.name .. ' ' .. (TASK.tenant or '') .. ' '
  local key, code = SHARD .. ':ends:' .. math.floor(NOW / 60000), TASK.code or ''
  if redis.call('HINCRBY', key, field .. code, 1) > 1 then return end
  redis.call('PEXPIRE', key, ENDS_TTL)
  if code ~= '' and redis.call('HLEN', key) > MAX_ENDS_WITH_CODE then
    redis.call('HDEL', key, field .. code)
    redis.call('HINCRBY', key, field, 1)
  end
end

-- Ends the task: its state, its place in the lists, its last event, its time to live (0: for ever), unless its
-- submission or its type set another.
local function end_task(state, attempt, ttl, event_limit, progress, message)
  ttl = TASK.ttl or ttl
  if TASK.start_before then set_start_before(nil) end
  if DEFERRED then
    set_field('started_at', int(TASK.started_at))
    set_field('waited', TASK.waited)
    set_field('worker', TASK.worker)
  end
  set_field('finished_at', NOW_TEXT)
  move_to(state)
  count_end(state)
  redis.call('ZREM', OPEN, ID)
  end_usage(KEPT_BYTES + log_bytes())
  leave_limits()
  if ttl > 0 then
    set_field('expires_at', int(NOW + ttl))
    redis.call('ZADD', EXPIRY, int(NOW + ttl), expiry_member(TASK.name, state, TASK.tenant))
  end
  commit(state, attempt, event_limit, progress, message)
  if TASK.webhooks then deliver_webhooks(TASK.webhooks, state) end
  if TASK.children then leave_children(state, ttl) end
  -- After the last event, so that record and events expire together.
  if ttl > 0 then
    redis.call('PEXPIRE', RECORD, ttl)
    redis.call('PEXPIRE', EVENTS, ttl)
    if TASK.log then redis.call('PEXPIRE', log_key(), ttl) end
    if TASK.stream then redis.call('PEXPIRE', items_key(), ttl) end
  end
end

-- Ends the task without a result.
local function end_with_error(state, attempt, error, ttl, event_limit, message)
  redis.call('HDEL', RECORD, 'result')
  set_field('error', error)
  -- A code of other characters, which only a task can have made up, is counted without a name.
  local code = state == 'FAILED' and string.match(error, '^{"code":"([%w_.-]+)"') or ''
  TASK.code = #code <= 64 and code or ''
  KEPT_BYTES = KEPT_BYTES + #error
  end_task(state, attempt, tonumber(ttl), event_limit, '', message)
end

-- Ends a QUEUED task whose time to start has passed. EXPIRED_ERROR and EXPIRED_MESSAGE stand for texts in Python.
local function expire_before_start(ttl, event_limit)
  end_with_error('FAILED', TASK.attempt, EXPIRED_ERROR, ttl, event_limit, EXPIRED_MESSAGE)
end

-- Returns the task to QUEUED with its next attempt. The caller sets when that is due, and commits.
local function requeue(attempt)
  redis.call('HDEL', RECORD, 'progress', 'message', 'data', 'started_at', 'heard_at', 'worker', 'result')
  set_field('attempt', attempt)
  move_to('QUEUED')
  leave_limits()
end

-- Files ----------------------------------------------------------------------------------------------------------------
-- A file is known by tenant and SHA-256, and its shard is the first digit of that. Keys, all of the shard:
--   {shard}:file:<tenant>:<sha>        hash  place, size_bytes, media_type, name, account, created_at, used_at; source
--                                            (a blob of a task) or offered (a place that a client may write), without
--                                            a place
--   {shard}:file_users:<tenant>:<sha>  zset  ids of tasks that use it -> when to look whether they are gone, ms
--   {shard}:files                      zset  <tenant>:<sha> -> when to check whether it can be deleted, ms
--   {shard}:places                     zset  '+<place>' that belongs to no file -> when to delete it; '-<place>' that is
--                                            being deleted -> when to try again, ms

local function file_key(tenant, sha) return SHARD .. ':file:' .. tenant .. ':' .. sha end

local function file_users_key(tenant, sha) return SHARD .. ':file_users:' .. tenant .. ':' .. sha end

-- The bytes at this place are deleted soon.
local function give_up_place(place) redis.call('ZADD', SHARD .. ':places', NOW_TEXT, '+' .. place) end
