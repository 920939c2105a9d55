-- Frees slots that nobody holds: a node of an older release ended their attempts. ARGV: 3... limits
-- Returns the number of slots in use of each limit.
local used, freed = {}, false
for i = 3, #ARGV do
  local slots = SHARD .. ':slots:' .. ARGV[i]
  for _, id in ipairs(redis.call('SMEMBERS', slots)) do
    local record = redis.call('HMGET', RECORD .. id, 'state', 'attempt', 'dispatched')
    if record[1] ~= 'RUNNING' and not (record[1] == 'QUEUED' and record[2] == record[3]) then
      redis.call('SREM', slots, id)
      redis.call('SADD', SHARD .. ':woken', '-' .. ARGV[i])
      freed = true
    end
  end
  used[#used + 1] = redis.call('SCARD', slots)
end
if freed then announce_woken() end
return used
