-- Claims webhook deliveries of a shard that are due. `end_delivery` follows; one is due again if it does not.
-- ARGV: 3 limit, 4 pause before they are due again (ms)
-- Returns {{id, task, run, account, to, name, state, at, tries}, ...}, packed.
local due = redis.call('ZRANGEBYSCORE', SHARD .. ':deliveries', '-inf', NOW_TEXT, 'LIMIT', 0, tonumber(ARGV[3]))
local reply = {}
for _, id in ipairs(due) do
  local found = redis.call('HMGET', SHARD .. ':delivery:' .. id, 'task', 'run', 'account', 'to', 'name', 'state', 'at',
    'tries')
  if found[1] then
    redis.call('ZADD', SHARD .. ':deliveries', int(NOW + tonumber(ARGV[4])), id)
    reply[#reply + 1] = {id, unpack(found)}
  else
    redis.call('ZREM', SHARD .. ':deliveries', id)
  end
end
return cmsgpack.pack(reply)
