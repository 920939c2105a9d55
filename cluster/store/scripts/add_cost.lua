-- The controller adds what the workers have cost since the last call, whoever made it. KEYS 1 the costs.
-- ARGV: 3 what they cost now (USD per hour), 4 longest time between two calls (ms), 5 days to keep
-- Fields: `at` (ms), `rate` (USD per hour) of the last call; a day, in days since 1970 (UTC) -> USD.
-- The time since the last call counts once: it begins where that has ended, so controllers that overlap add nothing twice.
-- In it the workers cost the average of then and now; of a longer time, in which no controller ran, nothing is known.
-- Returns what today has cost (USD).
local COSTS, DAY = KEYS[1], 86400000
local last = redis.call('HMGET', COSTS, 'at', 'rate')
local at, elapsed = tonumber(last[1]), NOW - (tonumber(last[1]) or NOW)
local today = math.floor(NOW / DAY)
if at and elapsed > 0 and elapsed <= tonumber(ARGV[4]) then
  local per_ms = (tonumber(ARGV[3]) + tonumber(last[2])) / 2 / 3600000
  local of_today = math.min(elapsed, NOW - today * DAY)
  if of_today < elapsed then
    redis.call('HINCRBYFLOAT', COSTS, int(today - 1), string.format('%.9f', per_ms * (elapsed - of_today)))
  end
  redis.call('HINCRBYFLOAT', COSTS, int(today), string.format('%.9f', per_ms * of_today))
end
if not at or math.floor(at / DAY) < today then
  for _, field in ipairs(redis.call('HKEYS', COSTS)) do
    if (tonumber(field) or today) <= today - tonumber(ARGV[5]) then redis.call('HDEL', COSTS, field) end
  end
end
redis.call('HSET', COSTS, 'at', NOW_TEXT, 'rate', ARGV[3])
return redis.call('HGET', COSTS, int(today)) or '0'
