-- The recoverer claims runs of a shard that have ended without needing their children. An entry stays until
-- `remove_unwanted`: if the caller dies before that, another node withdraws them. ARGV[2] is not used.
-- ARGV: 3 limit, 4 pause before the returned entries are due again (ms)
-- Returns {{id, submitted_at, {child id, ...}}, ...}, packed.
local due = redis.call('ZRANGEBYSCORE', SHARD .. ':unwanted', '-inf', NOW_TEXT, 'LIMIT', 0, ARGV[3])
local reply = {}
for _, member in ipairs(due) do
  local id, run = string.match(member, '^(%S+) (%S+)$')
  redis.call('ZADD', SHARD .. ':unwanted', int(NOW + tonumber(ARGV[4])), member)
  reply[#reply + 1] = {id, run, redis.call('ZRANGE', SHARD .. ':children:' .. id .. ':' .. run, 0, -1)}
end
return cmsgpack.pack(reply)
