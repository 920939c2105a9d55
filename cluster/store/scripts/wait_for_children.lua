-- A running attempt begins to wait for its children, or goes on. While it waits, it holds no slots: they are free for
-- tasks that its children may need to end.
-- ARGV: 3 attempt, 4 '1' if it begins to wait, '0' if it goes on
-- Returns 1, or 0 if the attempt must stop.
local state = load_task()
if state ~= 'RUNNING' or TASK.attempt ~= ARGV[3] then return 0 end
if not TASK.limits then return 1 end
if ARGV[4] == '1' then
  if free_slots(ID, TASK.limits) then announce_woken() end
else
  for _, limit in ipairs(limit_names(TASK.limits)) do redis.call('SADD', SHARD .. ':slots:' .. limit, ID) end
end
return 1
