-- The blobs of these tasks are deleted. ARGV: 3... their ids. KEYS[7] is needed. A task that runs again keeps its entry.
for i = 3, #ARGV do
  local found = redis.call('HMGET', RECORD .. ARGV[i], 'state', 'expires_at')
  local expires_at = found[2] and tonumber(found[2])
  if not found[1] or (expires_at and expires_at <= NOW) then redis.call('ZREM', BLOBS, ARGV[i]) end
end
return 1
