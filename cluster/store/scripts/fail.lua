-- An attempt ends in an error. ARGV: 3 attempt, 4 error (JSON), 5 ttl (ms), 6 event limit,
--   7 retries allowed, 8 delay before the first retry (ms; doubled for each further one), 9 message,
--   10 longest delay (ms), 11 the field that counts these retries: 'retries', or 'unstored' where a blob store is away
-- Answers 'FAILED', 'RETRY', or 'REFUSED' by the fence. Where it is repeated as its answer was lost, 'FAILED' again.
local state = load()
if state == 'FAILED' and TASK.attempt == ARGV[3] and get('error') == ARGV[4] then return 'FAILED' end
if not state or final(state) or TASK.attempt ~= ARGV[3] then return 'REFUSED' end
local retries = tonumber(get(ARGV[11]) or 0)
if retries < tonumber(ARGV[7]) then
  redis.call('HDEL', RECORD, 'progress', 'started_at', 'heard_at', 'worker', 'result')
  set(ARGV[11], retries + 1)
  set('attempt', tonumber(ARGV[3]) + 1)
  move('QUEUED')
  redis.call('ZADD', OPEN, int(NOW + math.min(tonumber(ARGV[8]) * 2 ^ retries, tonumber(ARGV[10]))), ID)
  tell('RETRY', tonumber(ARGV[3]) + 1, ARGV[6], '', ARGV[9])
  return 'RETRY'
end
local ttl = tonumber(ARGV[5])
redis.call('HDEL', RECORD, 'result')
set('error', ARGV[4])
close('FAILED', ttl)
tell('FAILED', ARGV[3], ARGV[6], '', ARGV[9])
expire(ttl)
return 'FAILED'
