-- The blobs of these tasks have been deleted. ARGV: 3... their ids. Needs KEYS[7]. A task that runs again keeps its
-- entry.
for i = 3, #ARGV do
  local found = redis.call('HMGET', RECORD .. ARGV[i], 'state', 'expires_at')
  if not found[1] or has_expired(found[2]) then redis.call('ZREM', BLOBS, ARGV[i]) end
end
return 1
