-- The recoverer ends tasks of a shard that have not started in time. ARGV[2] is not used.
-- ARGV: 3 limit, 4 ttl (ms), 5 event limit
-- Returns {how many were looked at (`limit` means there may be more), then id, attempt of each that ended and whose
-- attempt the scheduler may have}.
local due = redis.call('ZRANGEBYSCORE', SHARD .. ':start_before', '-inf', NOW_TEXT, 'LIMIT', 0, ARGV[3])
local reply = {#due}
for _, id in ipairs(due) do
  ID, RECORD, EVENTS, WATCH = id, KEYS[1] .. id, KEYS[2] .. id, KEYS[3] .. id
  CHANGES, KEPT_BYTES = {}, 0
  local state = load_task()
  if state == 'QUEUED' and TASK.start_before and TASK.start_before <= NOW then
    if get_field('dispatched') == TASK.attempt then
      reply[#reply + 1] = id
      reply[#reply + 1] = TASK.attempt
    end
    expire_before_start(ARGV[4], ARGV[5])
  elseif state then
    -- A worker or an api node of an earlier release, which knows no such time, has started or ended it.
    set_start_before(nil)
  else
    redis.call('ZREM', SHARD .. ':start_before', id)
  end
end
return reply
