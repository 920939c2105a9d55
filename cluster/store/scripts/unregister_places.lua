-- The bytes at these places have been deleted. ARGV: 3... places
for i = 3, #ARGV do redis.call('ZREM', SHARD .. ':places', '-' .. ARGV[i]) end
return 1
