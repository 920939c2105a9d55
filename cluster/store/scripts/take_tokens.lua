-- Takes tokens from a caller's bucket. KEYS: 1 the bucket. ARGV: 3 size, 4 tokens refilled per minute, 5 tokens to take
-- Returns 0, or the milliseconds until there are enough; then none is taken.
local size, per_minute, cost = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local bucket = redis.call('HMGET', RECORD, 'tokens', 'at')
local tokens = math.min(size, (tonumber(bucket[1]) or size) + (NOW - (tonumber(bucket[2]) or NOW)) * per_minute / 60000)
if tokens < cost then return math.max(1, math.ceil((cost - tokens) * 60000 / per_minute)) end
redis.call('HSET', RECORD, 'tokens', string.format('%.6f', tokens - cost), 'at', NOW_TEXT)
-- A full bucket need not be kept.
redis.call('PEXPIRE', RECORD, math.ceil((size - tokens + cost) * 60000 / per_minute) + 1000)
return 0
