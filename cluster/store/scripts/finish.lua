-- An attempt delivers its result. ARGV: 3 attempt, 4 result, 5 ttl (ms, 0: for ever), 6 event limit
-- Answers 1, or 0 when the fence refuses it. A delivery that is repeated as its answer was lost hears 1 again.
local state = load()
if TASK.attempt ~= ARGV[3] then return 0 end
if state ~= 'RUNNING' then return state == 'SUCCEEDED' and get('result') == ARGV[4] and 1 or 0 end
local ttl = tonumber(ARGV[5])
set('result', ARGV[4])
set('progress', '1')
close('SUCCEEDED', ttl)
tell('SUCCEEDED', ARGV[3], ARGV[6], '1')
expire(ttl)
return 1
