-- Claims places of a shard whose bytes are to be deleted. A claimed place cannot become a file's any more; it is due
-- again until `unregister_places`.
-- ARGV: 3 limit, 4 pause before the returned places are due again (ms)
-- Returns the places; as many as the limit means that there may be more.
local due = redis.call('ZRANGEBYSCORE', SHARD .. ':places', '-inf', NOW_TEXT, 'LIMIT', 0, tonumber(ARGV[3]))
for i, member in ipairs(due) do
  due[i] = string.sub(member, 2)
  redis.call('ZREM', SHARD .. ':places', member)
  redis.call('ZADD', SHARD .. ':places', int(NOW + tonumber(ARGV[4])), '-' .. due[i])
end
return due
