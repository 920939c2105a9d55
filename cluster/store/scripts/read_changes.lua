-- Reads the newest changes of a shard's tasks, and lets them be recorded from now on. ARGV[2] is not used.
-- ARGV: 3 number of the last change that the caller has, or '' to begin after the newest one, 4 limit, 5 how long changes
--       are recorded from now on (ms), and the nodes are notified of the next one; '' for neither
-- Returns {number of the newest change, the change with the number of ARGV[3], those after it...}, packed: at most
-- `limit` of them. Without the first one, changes after it may be gone; with ARGV[3] = '', it is the newest one.
local key = changes_key()
local last = tonumber(redis.call('HGET', key, 'last'))
if ARGV[5] ~= '' then
  if not last then
    -- A position must be that of a change, by which it is recognised.
    last = 1
    redis.call('HSET', key, 'last', last, last, cmsgpack.pack({last, clock[1] .. clock[2]}))
  end
  redis.call('HSET', key, 'armed', 1)
  redis.call('PEXPIRE', key, ARGV[5])
end
local after = tonumber(ARGV[3]) or last
if not after or after > (last or 0) then return cmsgpack.pack({last or 0}) end
local slots = {}
for number = after, math.min(last, after + tonumber(ARGV[4])) do slots[#slots + 1] = number % CHANGES_KEPT end
return cmsgpack.pack({last, unpack(redis.call('HMGET', key, unpack(slots)))})
