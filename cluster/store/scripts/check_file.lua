-- Decides whether a file stays, after it was looked up which of its tasks still exist.
-- ARGV: 3 tenant, 4 SHA-256, 5 ttl (ms), 6... for each task: its id, its due time as claimed, when it is to be looked
--   up again (ms), or '' if it is gone
-- Returns 1 if the file is gone: no task uses it and its last use is older than the ttl. Else 0.
local file, users = file_key(ARGV[3], ARGV[4]), file_users_key(ARGV[3], ARGV[4])
local member = ARGV[3] .. ':' .. ARGV[4]
for i = 6, #ARGV, 3 do
  -- A task that has used the file again since has another due time.
  if redis.call('ZSCORE', users, ARGV[i]) == ARGV[i + 1] then
    if ARGV[i + 2] == '' then
      redis.call('ZREM', users, ARGV[i])
    else
      redis.call('ZADD', users, ARGV[i + 2], ARGV[i])
    end
  end
end
local found = redis.call('HMGET', file, 'used_at', 'place', 'account', 'size_bytes', 'offered')
local offered = found[5] and redis.call('ZSCORE', SHARD .. ':places', '+' .. found[5])
local due = math.max((tonumber(found[1]) or 0) + tonumber(ARGV[5]), tonumber(offered) or 0)
local next_user = redis.call('ZRANGE', users, 0, 0, 'WITHSCORES')[2]
if not next_user and due <= NOW then
  if found[2] then
    give_up_place(found[2])
    if found[3] ~= '' then change_usage(found[3], 0, -tonumber(found[4])) end
  end
  redis.call('DEL', file, users)
  redis.call('ZREM', SHARD .. ':files', member)
  return 1
end
redis.call('ZADD', SHARD .. ':files', int(math.max(due, tonumber(next_user) or 0)), member)
return 0
