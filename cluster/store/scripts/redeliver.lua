-- Makes a webhook delivery due again, from its first try on, whatever became of it.
-- ARGV: 3 id, 4 account, whose it must be
-- Returns 1, or 0 if the account has no such delivery.
local key = SHARD .. ':delivery:' .. ARGV[3]
if redis.call('HGET', key, 'account') ~= ARGV[4] then return 0 end
redis.call('HSET', key, 'status', 'PENDING', 'tries', 0)
redis.call('PEXPIRE', key, 864000000)
redis.call('ZADD', SHARD .. ':deliveries', NOW_TEXT, ARGV[3])
redis.call('PUBLISH', PREFIX .. ':all', 'delivery')
return 1
