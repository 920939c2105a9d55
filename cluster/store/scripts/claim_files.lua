-- Claims files of a shard that may have to be deleted, each with tasks that may use it no more. `check_file` decides; a
-- file is due again if that is not called.
-- ARGV: 3 limit of files, 4 pause before the returned files are due again (ms), 5 limit of tasks for each file
-- Returns {{tenant:SHA-256, {task id, due, ...}}, ...}, packed; as many as the limit means that there may be more.
local due = redis.call('ZRANGEBYSCORE', SHARD .. ':files', '-inf', NOW_TEXT, 'LIMIT', 0, tonumber(ARGV[3]))
local reply = {}
for _, member in ipairs(due) do
  local users = redis.call('ZRANGEBYSCORE', SHARD .. ':file_users:' .. member, '-inf', NOW_TEXT, 'WITHSCORES', 'LIMIT',
    0, tonumber(ARGV[5]))
  reply[#reply + 1] = {member, users}
  redis.call('ZADD', SHARD .. ':files', int(NOW + tonumber(ARGV[4])), member)
end
return cmsgpack.pack(reply)
