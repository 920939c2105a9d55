-- Records how a try of a webhook delivery ended.
-- ARGV: 3 id, 4 tries before it, as claimed: a delivery that was tried or replayed since is left alone, 5 outcome:
--         'DELIVERED', 'FAILED' (it is not tried again), 'RETRY' or 'POSTPONED' (it was not tried; both are due again),
--         'DROPPED' (its webhook does not want it), 6 pause before it is due again (ms), 7 what came back, for people
-- Returns 1, or 0 if it was left alone.
local key, pending = SHARD .. ':delivery:' .. ARGV[3], SHARD .. ':deliveries'
local found = redis.call('HMGET', key, 'status', 'tries', 'account')
if found[1] ~= 'PENDING' or found[2] ~= ARGV[4] then return 0 end
local outcome = ARGV[5]
if outcome == 'DROPPED' then
  redis.call('DEL', key)
  redis.call('ZREM', SHARD .. ':delivery_list:' .. found[3], ARGV[3])
elseif outcome ~= 'POSTPONED' then
  redis.call('HSET', key, 'status', outcome == 'RETRY' and 'PENDING' or outcome, 'tries', tonumber(found[2]) + 1,
    'reply', ARGV[7], 'tried_at', NOW_TEXT)
end
if outcome == 'RETRY' or outcome == 'POSTPONED' then
  redis.call('ZADD', pending, int(NOW + tonumber(ARGV[6])), ARGV[3])
else
  redis.call('ZREM', pending, ARGV[3])
end
return 1
