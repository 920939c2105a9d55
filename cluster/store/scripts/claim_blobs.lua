-- Claims tasks of a shard whose records are gone and that may have left blobs. An entry stays until `unregister_blobs`:
-- if the caller dies before that, another node deletes them.
-- ARGV: 3 limit, 4 pause before the returned entries are due again (ms), 5 the same for tasks that are open or kept for
-- ever
-- Needs KEYS[7]. Returns how many entries were checked (`limit` means there may be more), then the ids.
local due = redis.call('ZRANGEBYSCORE', BLOBS, '-inf', NOW_TEXT, 'LIMIT', 0, tonumber(ARGV[3]))
local reply, scores = {#due}, {}
for _, id in ipairs(due) do
  local found = redis.call('HMGET', RECORD .. id, 'state', 'expires_at')
  local due_at = NOW + tonumber(ARGV[5])
  if not found[1] or has_expired(found[2]) then
    reply[#reply + 1] = id
    due_at = NOW + tonumber(ARGV[4])
  elseif found[2] then
    due_at = tonumber(found[2])
  end
  scores[#scores + 1] = int(due_at)
  scores[#scores + 1] = id
end
if #due > 0 then redis.call('ZADD', BLOBS, unpack(scores)) end
return reply
