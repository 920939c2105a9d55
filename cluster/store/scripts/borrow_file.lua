-- A blob of a task's output can be an argument: as long as the task's record is kept, the blob is the file's source.
-- ARGV: 3 tenant, 4 SHA-256, 5 key of the blob, 6 the task's id, 7 size (bytes), 8 media type, 9 name, 10 ttl (ms)
-- Returns 1, or 0 if the file has a place of its own.
local file = file_key(ARGV[3], ARGV[4])
if redis.call('HEXISTS', file, 'place') == 1 then return 0 end
redis.call('HSET', file, 'source', ARGV[5], 'size_bytes', ARGV[7], 'media_type', ARGV[8], 'name', ARGV[9], 'used_at',
  NOW_TEXT)
local due = int(NOW + tonumber(ARGV[10]))
redis.call('ZADD', file_users_key(ARGV[3], ARGV[4]), due, ARGV[6])
redis.call('ZADD', SHARD .. ':files', due, ARGV[3] .. ':' .. ARGV[4])
return 1
