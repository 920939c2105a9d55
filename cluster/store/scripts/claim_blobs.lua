-- Takes tasks of a shard whose records are gone and that may have left blobs. An entry stays until `unregister_blobs`: whoever
-- dies before that has another delete them.
-- ARGV: 3 most, 4 again after (ms), of those that are answered, 5 again after (ms), of those that are open or kept for ever
-- KEYS[7] is needed. Answers how many entries were looked at, as many as `most` if there may be more, then the ids.
local due = redis.call('ZRANGEBYSCORE', BLOBS, '-inf', NOW_TEXT, 'LIMIT', 0, tonumber(ARGV[3]))
local answer, scores = {#due}, {}
for _, id in ipairs(due) do
  local found = redis.call('HMGET', RECORD .. id, 'state', 'expires_at')
  local expires_at = found[2] and tonumber(found[2])
  local again = NOW + tonumber(ARGV[5])
  if not found[1] or (expires_at and expires_at <= NOW) then
    answer[#answer + 1] = id
    again = NOW + tonumber(ARGV[4])
  elseif expires_at then
    again = expires_at
  end
  scores[#scores + 1] = int(again)
  scores[#scores + 1] = id
end
if #due > 0 then redis.call('ZADD', BLOBS, unpack(scores)) end
return answer
