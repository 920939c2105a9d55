-- A file is used: by a task that is about to be submitted, or by a caller who asks for it.
-- ARGV: 3 tenant, 4 SHA-256, 5 the task's id, or '', 6 ttl (ms)
-- Returns {place, size, media type, name, source, offered}, packed; {} if the file is unknown. Without a place the task
-- is not noted: the caller makes a place of `source` or `offered` first.
local file = file_key(ARGV[3], ARGV[4])
local found = redis.call('HMGET', file, 'place', 'size_bytes', 'media_type', 'name', 'source', 'offered')
if not (found[1] or found[5] or found[6]) then return cmsgpack.pack({}) end
if found[1] or found[5] then redis.call('HSET', file, 'used_at', NOW_TEXT) end
if found[1] and ARGV[5] ~= '' then
  -- Until then the file stays in any case.
  redis.call('ZADD', file_users_key(ARGV[3], ARGV[4]), int(NOW + tonumber(ARGV[6])), ARGV[5])
end
return cmsgpack.pack(found)
