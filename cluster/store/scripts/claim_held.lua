-- The claimer of held tasks dispatches some of a shard, which take their slots. ARGV[2] is not used.
-- ARGV: 3 the claimer's number, 4 check_after (ms), 5 limit of the inputs' bytes, 6... for each task: its list of limits,
--       its id
-- Returns {} if a newer claimer exists, as that may have given the slots to others. Else {1, then {id, attempt, name,
-- input, priority, trace, account, resumes, pool} for each task that the caller must dispatch}, packed; those left out are no
-- longer held, or would make the reply too long.
if redis.call('GET', SHARD .. ':claimer') ~= ARGV[3] then return cmsgpack.pack({}) end
local reply, bytes_left = {1}, tonumber(ARGV[5])
for i = 6, #ARGV, 2 do
  local limits, id = ARGV[i], ARGV[i + 1]
  if bytes_left > 0 and unhold(id, limits) then
    local key = RECORD .. id
    local record = redis.call('HMGET', key, 'state', 'attempt', 'name', 'input', 'priority', 'trace', 'account',
      'resumes', 'pool')
    if record[1] == 'QUEUED' then
      bytes_left = bytes_left - #record[4]
      redis.call('HSET', key, 'dispatched', record[2])
      redis.call('ZADD', OPEN, int(NOW + tonumber(ARGV[4])), id)
      for _, limit in ipairs(limit_names(limits)) do redis.call('SADD', SHARD .. ':slots:' .. limit, id) end
      reply[#reply + 1] = {id, record[2], record[3], record[4], record[5], record[6], record[7] or '',
        record[8] or '', record[9] or ''}
    end
  end
end
return cmsgpack.pack(reply)
