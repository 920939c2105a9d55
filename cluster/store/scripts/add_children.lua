-- A running attempt submits tasks: they become its children, before they are submitted.
-- ARGV: 3 attempt, 4 how many children a run has at most, 5... their ids
-- Returns {1, number of its children, submitted_at, priority, account, tags (JSON), trace, submitted_by, limits, depth,
-- salt, handed_back}, packed; {2, number} if there would be too many; {0} if the attempt must stop.
local state = load_task()
if state ~= 'RUNNING' or TASK.attempt ~= ARGV[3] then return cmsgpack.pack({0}) end
local count = redis.call('ZCARD', children_key())
local added = 0
for i = 5, #ARGV do
  if not redis.call('ZSCORE', children_key(), ARGV[i]) then
    if count + 1 > tonumber(ARGV[4]) then return cmsgpack.pack({2, count}) end
    count, added = count + 1, added + 1
    redis.call('ZADD', children_key(), count, ARGV[i])
  end
end
if added > 0 then redis.call('HSET', RECORD, 'children', count) end
local found = redis.call('HMGET', RECORD, 'priority', 'account', 'tags', 'trace', 'submitted_by', 'limits', 'depth', 'salt',
  'handed_back')
for i = 1, 9 do found[i] = found[i] or '' end
return cmsgpack.pack({1, count, TASK.submitted_at, unpack(found)})
