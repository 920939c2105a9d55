-- Takes expired tasks out of the list indexes of a shard. ARGV: 3 most. KEYS[7] is needed.
-- Answers how many entries of `expiry` were taken: as many as `most` if there may be more.
local due = redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', NOW_TEXT, 'LIMIT', 0, tonumber(ARGV[3]))
if #due == 0 then return 0 end
-- Many members go by one command, as the script is the only one that Redis runs meanwhile.
local gone, order = {}, {}
local function drop(key, id)
  if not gone[key] then
    gone[key] = {}
    order[#order + 1] = key
  end
  table.insert(gone[key], id)
end
local look = {}
for _, member in ipairs(due) do
  local id, name, state, tenant = string.match(member, '^(%x+) (%S+) (%S+) ?(%S*)$')
  -- The same id may be open again: then its places in the index are the new task's.
  local found = id and redis.call('HMGET', RECORD .. id, 'state', 'expires_at')
  if found and (not found[1] or (found[2] and found[2] ~= '' and tonumber(found[2]) <= NOW)) then
    for _, base in ipairs(bases(tenant)) do
      drop(base .. ':*', id)
      drop(base .. ':n:' .. name, id)
      drop(base .. ':s:' .. state, id)
      drop(base .. ':n:' .. name .. ':s:' .. state, id)
    end
    look[#look + 1] = NOW_TEXT
    look[#look + 1] = id
  end
end
redis.call('ZREM', EXPIRY, unpack(due))
for _, key in ipairs(order) do redis.call('ZREM', key, unpack(gone[key])) end
-- Only those that have an entry there.
if #look > 0 then redis.call('ZADD', BLOBS, 'XX', unpack(look)) end
return #due
