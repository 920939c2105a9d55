-- An attempt ends in an error. ARGV: 3 attempt, 4 error (JSON), 5 ttl (ms), 6 event limit,
--   7 retries allowed, 8 delay before the first retry (ms; doubled for each further one), 9 message,
--   10 longest delay (ms)
-- Answers 'FAILED', 'RETRY', or 'REFUSED' by the fence.
local state = exists()
if not state or final(state) or get('attempt') ~= ARGV[3] then return 'REFUSED' end
local name, submitted_at = get('name'), get('submitted_at')
local retries = tonumber(get('retries'))
if retries < tonumber(ARGV[7]) then
  redis.call('HSET', RECORD, 'retries', retries + 1, 'attempt', tonumber(ARGV[3]) + 1)
  redis.call('HDEL', RECORD, 'progress', 'started_at', 'worker', 'result')
  move(name, state, 'QUEUED', submitted_at)
  redis.call('ZADD', OPEN, int(NOW + math.min(tonumber(ARGV[8]) * 2 ^ retries, tonumber(ARGV[10]))), ID)
  tell('RETRY', 'QUEUED', tonumber(ARGV[3]) + 1, ARGV[6], '', ARGV[9])
  return 'RETRY'
end
local ttl = tonumber(ARGV[5])
redis.call('HSET', RECORD, 'error', ARGV[4])
redis.call('HDEL', RECORD, 'result')
close(name, state, 'FAILED', submitted_at, ttl)
tell('FAILED', 'FAILED', ARGV[3], ARGV[6], '', ARGV[9])
expire(ttl)
return 'FAILED'
