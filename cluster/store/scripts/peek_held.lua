-- Reads what the claimer decides by: the slots in use and the first held tasks of a shard.
-- ARGV: 3 how many limits follow, 4 how many tasks of each list to return, 5... limits, then lists of limits
-- Returns {the number of slots of each limit, for each list {id, order, id, order, ...}}, packed.
local last = 4 + tonumber(ARGV[3])
local used, first = {}, {}
for i = 5, last do used[#used + 1] = redis.call('SCARD', SHARD .. ':slots:' .. ARGV[i]) end
for i = last + 1, #ARGV do
  first[#first + 1] = redis.call('ZRANGE', SHARD .. ':held:' .. ARGV[i], 0, tonumber(ARGV[4]) - 1, 'WITHSCORES')
end
return cmsgpack.pack({used, first})
