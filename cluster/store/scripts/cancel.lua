-- Cancels an open task. ARGV: 3 ttl (ms), 4 event limit, 5 error (JSON)
-- Answers {1 if it was open, record}, or {0} where there is no such task, packed.
local state = load()
if not state then return cmsgpack.pack({0}) end
if final(state) then return cmsgpack.pack({0, brief()}) end
local ttl = tonumber(ARGV[3])
redis.call('HDEL', RECORD, 'result')
set('error', ARGV[5])
close('CANCELLED', ttl)
tell('CANCELLED', TASK.attempt, ARGV[4])
expire(ttl)
return cmsgpack.pack({1, read()})
