-- From now on only this claimer, or a newer one, may claim the held tasks of a shard. ARGV: 3 its number
-- Returns 1, or 0 if a newer claimer exists.
local newest = tonumber(redis.call('GET', SHARD .. ':claimer')) or 0
if newest > tonumber(ARGV[3]) then return 0 end
redis.call('SET', SHARD .. ':claimer', ARGV[3])
return 1
