-- Put before every script. One task's keys, all in one shard (hash tag), so that they lie on one node of a cluster:
--   KEYS[1]  {shard}:task:<id>    hash    the record (fields: record.py, FIELDS)
--   KEYS[2]  {shard}:events:<id>  list    the newest events, JSON, oldest first; their seq are without gaps
--   KEYS[3]  {shard}:watch:<id>   hash    node id -> "f" (wants the final record) or "e" (wants to hear of every event)
--   KEYS[4]  {shard}:open         zset    ids of open tasks -> when to look at them again, ms
--   KEYS[5]  {shard}:index        base name of the list indexes, zsets of ids -> submitted_at, ms:
--              index:*, index:s:<state>, index:n:<name>, index:n:<name>:s:<state>; with a tenant also index:t:<tenant>:*, ...
--   KEYS[6]  {shard}:expiry       zset    "<id> <name> <state> <tenant>" of ended tasks -> when the index forgets them, ms
--   KEYS[7]  {shard}:blobs        zset    ids of tasks that may have blobs -> when to see whether those can be deleted, ms;
--              only where a script says so
-- ARGV[1] is the key prefix, ARGV[2] the task id; the script's own arguments follow.
-- Time is the server's, in milliseconds, so that nodes with wrong clocks cannot disagree.
local RECORD, EVENTS, WATCH, OPEN, INDEX, EXPIRY = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local BLOBS = KEYS[7]
local PREFIX, ID = ARGV[1], ARGV[2]
local clock = redis.call('TIME')
-- As text and as a number: to write a number costs Lua as much as a short command costs Redis.
local NOW_TEXT = clock[1] .. string.sub('00000' .. clock[2], -6, -4)
local NOW = tonumber(NOW_TEXT)

-- Numbers above 1e14 would be written in the exponent form by tostring.
local function int(number) return string.format('%.0f', number) end

-- The whole record; FIELDS stands for the names in record.py.
local function read() return redis.call('HMGET', RECORD, FIELDS) end

-- Bytes of what goes along unasked.
local LONG = 4096

-- The record, without a result that is long: mostly nobody asks for it, and whoever does reads it by itself.
local function brief()
  local record = redis.call('HMGET', RECORD, FIELDS_BUT_RESULT)
  local length = redis.call('HSTRLEN', RECORD, 'result')
  record[#record + 1] = length > 0 and length <= LONG and redis.call('HGET', RECORD, 'result')
  return record
end

local function get(field) return redis.call('HGET', RECORD, field) end

-- The task as it is now, read at once; its state is false where there is no record, or one whose time is over: Redis
-- expires a key lazily, so a reader must not count on it.
local TASK
local function load()
  local found = redis.call('HMGET', RECORD, 'state', 'attempt', 'seq', 'name', 'submitted_at', 'tenant', 'expires_at')
  local over = found[7] and found[7] ~= '' and tonumber(found[7]) <= NOW
  TASK = {state = not over and found[1], attempt = found[2], seq = tonumber(found[3]) or 0, name = found[4],
    submitted_at = found[5], tenant = found[6]}
  return TASK.state
end

-- When somebody last spoke for the running attempt, or it began.
local function heard_at()
  local times = redis.call('HMGET', RECORD, 'heard_at', 'started_at')
  return math.max(tonumber(times[1] or 0) or 0, tonumber(times[2] or 0) or 0)
end

-- What is written to the record, together, by `tell`.
local CHANGES = {}
local function set(field, value)
  CHANGES[#CHANGES + 1] = field
  CHANGES[#CHANGES + 1] = value
end

local function final(state) return state == 'SUCCEEDED' or state == 'FAILED' or state == 'CANCELLED' end

-- The lists that a task stands in: everybody's, and those of its tenant where there is one.
local function bases(tenant)
  if tenant and tenant ~= '' then return {INDEX, INDEX .. ':t:' .. tenant} end
  return {INDEX}
end

local function index_state(name, state, score, tenant)
  for _, base in ipairs(bases(tenant)) do
    redis.call('ZADD', base .. ':s:' .. state, score, ID)
    redis.call('ZADD', base .. ':n:' .. name .. ':s:' .. state, score, ID)
  end
end

local function index(name, state, score, tenant)
  for _, base in ipairs(bases(tenant)) do
    redis.call('ZADD', base .. ':*', score, ID)
    redis.call('ZADD', base .. ':n:' .. name, score, ID)
  end
  index_state(name, state, score, tenant)
end

local function unindex_state(name, state, tenant, id)
  for _, base in ipairs(bases(tenant)) do
    redis.call('ZREM', base .. ':s:' .. state, id or ID)
    redis.call('ZREM', base .. ':n:' .. name .. ':s:' .. state, id or ID)
  end
end

local function unindex(name, state, tenant, id)
  for _, base in ipairs(bases(tenant)) do
    redis.call('ZREM', base .. ':*', id)
    redis.call('ZREM', base .. ':n:' .. name, id)
  end
  unindex_state(name, state, tenant, id)
end

-- A task's entry in EXPIRY.
local function ended_as(name, state, tenant) return ID .. ' ' .. name .. ' ' .. state .. ' ' .. (tenant or '') end

-- Moves the task to a state and keeps the indexes in step.
local function move(to)
  if TASK.state ~= to then
    unindex_state(TASK.name, TASK.state, TASK.tenant)
    index_state(TASK.name, to, TASK.submitted_at, TASK.tenant)
    TASK.state = to
    set('state', to)
  end
end

-- Ends the task: its state, its place in the indexes, its time to live.
local function close(to, ttl)
  set('finished_at', NOW_TEXT)
  move(to)
  redis.call('ZREM', OPEN, ID)
  if ttl > 0 then
    set('expires_at', int(NOW + ttl))
    redis.call('ZADD', EXPIRY, int(NOW + ttl), ended_as(TASK.name, to, TASK.tenant))
  end
end

-- The notice of an end to a node that waits for nothing else: the task's id, then the record, packed, which spares the node
-- a read. A long one is left to be read, as Redis cuts off a subscriber that has too much before it.
local function with_record()
  local record = read()
  if #record[3] + #(record[#record] or '') + #(record[#record - 1] or '') > LONG then return ID end
  return ID .. cmsgpack.pack(record)
end

-- Writes the changes, logs them as an event, and tells the nodes that wait for it. The notice names the task: the record
-- is the truth.
local function tell(kind, attempt, limit, progress, message)
  TASK.seq = TASK.seq + 1
  set('seq', TASK.seq)
  redis.call('HSET', RECORD, unpack(CHANGES))
  local event = {seq = TASK.seq, kind = kind, state = TASK.state, attempt = tonumber(attempt), at = NOW}
  if progress and progress ~= '' then event.progress = tonumber(progress) end
  if message and message ~= '' then event.message = message end
  redis.call('RPUSH', EVENTS, cjson.encode(event))
  -- There are no more events than their numbers say.
  if TASK.seq > tonumber(limit) then redis.call('LTRIM', EVENTS, -tonumber(limit), -1) end
  local ended = final(TASK.state)
  local waiting, whole = redis.call('HGETALL', WATCH), nil
  for i = 1, #waiting, 2 do
    local wants = waiting[i + 1]
    if ended or wants == 'e' then
      if wants == 'f' then whole = whole or with_record() end
      redis.call('PUBLISH', PREFIX .. ':node:' .. waiting[i], wants == 'f' and whole or ID)
    end
  end
  if ended and #waiting > 0 then redis.call('DEL', WATCH) end
end

-- After the last event of an ended task: both keys leave Redis together.
local function expire(ttl)
  if ttl > 0 then
    redis.call('PEXPIRE', RECORD, ttl)
    redis.call('PEXPIRE', EVENTS, ttl)
  end
end
