-- Cancels an open task. ARGV: 3 ttl (ms), 4 event limit, 5 error (JSON)
-- Answers {1 if it was open, fields...}, or {0} where there is no such task.
local state = exists()
if not state then return {0} end
if final(state) then return {0, unpack(read())} end
local ttl = tonumber(ARGV[3])
redis.call('HSET', RECORD, 'error', ARGV[5])
redis.call('HDEL', RECORD, 'result')
close(get('name'), state, 'CANCELLED', get('submitted_at'), ttl)
tell('CANCELLED', 'CANCELLED', get('attempt'), ARGV[4])
expire(ttl)
return {1, unpack(read())}
