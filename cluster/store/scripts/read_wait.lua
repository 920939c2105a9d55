-- Reads what a QUEUED task waits for, as far as Redis knows.
-- Returns {now (ms), attempt, whether that was dispatched (0/1), when it is due (ms; '' while held), limits (or ''), its
-- order among those held (or '')}, packed; {} if it is not QUEUED.
if load_task() ~= 'QUEUED' then return cmsgpack.pack({}) end
local dispatched = tonumber(get_field('dispatched') or 0) >= tonumber(TASK.attempt)
local limits = TASK.limits or ''
local order = limits ~= '' and redis.call('ZSCORE', SHARD .. ':held:' .. limits, ID)
return cmsgpack.pack({NOW, tonumber(TASK.attempt), dispatched and 1 or 0, redis.call('ZSCORE', OPEN, ID) or '', limits,
  order or ''})
