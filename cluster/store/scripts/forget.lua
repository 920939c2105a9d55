-- Deletes a task that has ended: its record, and all that is kept with it. Needs KEYS[7].
-- ARGV: 3 the actor, or '', 4 mode ('force', 'cancel', 'cancel_any'; may_decide), 5 '1' to change nothing and return what
--       would be
-- Returns {1, record, others, is_submitter} if it deleted it: how many others had wanted it, and whether the actor had
-- (0/1); {0, the same} if not, because it is open, or because others wanted it; or {0} if there is no such task; packed.
local state = load_task()
if not state then return cmsgpack.pack({0}) end
local others, is_submitter = count_others(ARGV[3])
local record = read_brief_record()
local may = is_final(state) and may_decide(ARGV[4], ARGV[3], others, is_submitter)
if may and ARGV[5] ~= '1' then
  local name, tenant = TASK.name, TASK.tenant
  -- Those who follow changes learn that there is no such task any more when they read it.
  if redis.call('EXISTS', changes_key()) == 1 then
    record_change(cjson.encode({seq = TASK.seq, kind = state, state = state, attempt = tonumber(TASK.attempt), at = NOW}))
  end
  for _, base in ipairs(index_bases(tenant)) do
    redis.call('ZREM', base .. ':*', ID)
    redis.call('ZREM', base .. ':n:' .. name, ID)
  end
  unindex_state(name, state, tenant)
  redis.call('ZREM', EXPIRY, expiry_member(name, state, tenant))
  drop_usage({ID})
  redis.call('DEL', RECORD, EVENTS, WATCH, log_key(), items_key(), children_key())
  -- XX: only a task that has an entry.
  redis.call('ZADD', BLOBS, 'XX', NOW_TEXT, ID)
end
return cmsgpack.pack({may and 1 or 0, record, others, is_submitter and 1 or 0})
