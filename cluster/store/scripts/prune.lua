-- Removes expired tasks from the lists of a shard. ARGV: 3 limit. Needs KEYS[7].
-- Returns how many entries of `expiry` were removed: `limit` means there may be more.
local due = redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', NOW_TEXT, 'LIMIT', 0, tonumber(ARGV[3]))
if #due == 0 then return 0 end
-- One ZREM for each list, not for each task: Redis runs nothing else meanwhile.
local ids_by_list, lists = {}, {}
local function remove(list, id)
  if not ids_by_list[list] then
    ids_by_list[list] = {}
    lists[#lists + 1] = list
  end
  table.insert(ids_by_list[list], id)
end
local checks, gone = {}, {}
for _, member in ipairs(due) do
  local id, name, state, tenant = string.match(member, '^(%x+) (%S+) (%S+) ?(%S*)$')
  -- The same id may have been submitted again: then its entries in the lists are the new task's.
  local found = id and redis.call('HMGET', RECORD .. id, 'state', 'expires_at')
  if found and (not found[1] or has_expired(found[2])) then
    for _, base in ipairs(index_bases(tenant)) do
      remove(base .. ':*', id)
      remove(base .. ':n:' .. name, id)
      remove(base .. ':s:' .. state, id)
      remove(base .. ':n:' .. name .. ':s:' .. state, id)
    end
    gone[#gone + 1] = id
    checks[#checks + 1] = NOW_TEXT
    checks[#checks + 1] = id
  end
end
redis.call('ZREM', EXPIRY, unpack(due))
for _, list in ipairs(lists) do redis.call('ZREM', list, unpack(ids_by_list[list])) end
if #gone > 0 then drop_usage(gone) end
-- XX: only the tasks that have an entry.
if #checks > 0 then redis.call('ZADD', BLOBS, 'XX', unpack(checks)) end
return #due
