-- Replaces a field of a hash if it still has the value that the caller has read. KEYS: 1 the hash. ARGV: 3 field, 4 the
-- value that was read ('': none), 5 the new one ('': none)
-- Returns 1, or 0 if it has another value now.
if (redis.call('HGET', RECORD, ARGV[3]) or '') ~= ARGV[4] then return 0 end
if ARGV[5] == '' then redis.call('HDEL', RECORD, ARGV[3]) else redis.call('HSET', RECORD, ARGV[3], ARGV[5]) end
return 1
