-- Takes expired tasks out of the list indexes of a lane. ARGV: 3 most. Answers the ids.
local due = redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', NOW_TEXT, 'LIMIT', 0, tonumber(ARGV[3]))
local ids = {}
for _, member in ipairs(due) do
  local id, name, state, tenant = string.match(member, '^(%x+) (%S+) (%S+) ?(%S*)$')
  redis.call('ZREM', EXPIRY, member)
  -- The same id may be open again: then its places in the index are the new task's.
  local expires_at = redis.call('HGET', RECORD .. id, 'expires_at')
  local alive = redis.call('EXISTS', RECORD .. id) == 1 and not (expires_at and expires_at ~= '' and tonumber(expires_at) <= NOW)
  if not alive then
    unindex(name, state, tenant, id)
    ids[#ids + 1] = id
  end
end
return ids
