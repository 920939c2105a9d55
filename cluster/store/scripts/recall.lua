-- Recalls attempts of a paused task type that were dispatched and have not started: the next attempt is held.
-- ARGV: 3 name of the type, 4 how many of the shard's QUEUED tasks of that type to skip, 5 limit
-- Returns {how many were looked at (`limit` means there may be more), then id, attempt of each that was recalled}.
local offset, limit = tonumber(ARGV[4]), tonumber(ARGV[5])
local ids = redis.call('ZRANGE', INDEX .. ':n:' .. ARGV[3] .. ':s:QUEUED', offset, offset + limit - 1)
local reply = {#ids}
for _, id in ipairs(ids) do
  local key = RECORD .. id
  local record = redis.call('HMGET', key, 'state', 'attempt', 'dispatched', 'limits', 'priority', 'submitted_at')
  if record[1] == 'QUEUED' and record[2] == record[3] then
    local limits = record[4] or 't:' .. ARGV[3]
    redis.call('HSET', key, 'attempt', int(tonumber(record[2]) + 1), 'limits', limits)
    free_slots(id, limits)
    hold(id, limits, record[5], record[6])
    reply[#reply + 1] = id
    reply[#reply + 1] = record[2]
  end
end
if #reply > 1 then announce_woken() end
return reply
