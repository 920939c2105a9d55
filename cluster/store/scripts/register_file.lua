-- The bytes of a file are at a place that was registered: it is the file's from now on.
-- ARGV: 3 tenant, 4 SHA-256, 5 place, 6 size (bytes), 7 media type, 8 name, 9 account, 10 ttl (ms)
-- Returns 'NEW', 'KNOWN' (the file has a place already; this one is deleted), or 'GONE' (the place was given up).
-- Repeated after a lost reply, it returns the same.
local file = file_key(ARGV[3], ARGV[4])
local place = redis.call('HGET', file, 'place')
if place == ARGV[5] then return 'NEW' end
if redis.call('ZREM', SHARD .. ':places', '+' .. ARGV[5]) == 0 then return place and 'KNOWN' or 'GONE' end
if place then
  give_up_place(ARGV[5])
  redis.call('HSET', file, 'used_at', NOW_TEXT)
  return 'KNOWN'
end
redis.call('HDEL', file, 'offered', 'source')
redis.call('HSET', file, 'place', ARGV[5], 'size_bytes', ARGV[6], 'media_type', ARGV[7], 'name', ARGV[8], 'account',
  ARGV[9], 'created_at', NOW_TEXT, 'used_at', NOW_TEXT)
redis.call('ZADD', SHARD .. ':files', int(NOW + tonumber(ARGV[10])), ARGV[3] .. ':' .. ARGV[4])
if ARGV[9] ~= '' then change_usage(ARGV[9], 0, tonumber(ARGV[6])) end
return 'NEW'
