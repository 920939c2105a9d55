-- A worker is about to run short attempts of a shard one after the other. Their starts are deferred: the end of each
-- records both (record_deferred_start). ARGV[2] is not used. ARGV: 3... id and attempt of each
-- Returns for each what `start` would, packed: 'RUN <waited> <trace> <checkpoint> <tenant> <version>'; or '', if only
-- `start` may decide: the attempt is not the newest, or not QUEUED, or must start before some time; or it replaces one
-- that had started or was lost with its worker: it may be at fault, and another loss must count even if nobody is left
-- to say that it had begun.
local replies = {}
for i = 3, #ARGV, 2 do
  local found = redis.call('HMGET', RECORD .. ARGV[i], 'state', 'attempt', 'start_before', 'resumes', 'lost', 'retries',
    'undelivered', 'submitted_at', 'not_before', 'trace', 'checkpoint', 'tenant', 'version')
  local reply = ''
  if found[1] == 'QUEUED' and found[2] == ARGV[i + 1] and not found[3] and found[4] ~= '1' then
    local waited = ''
    if found[5] == '0' and found[6] == '0' and found[7] == '0' then
      waited = int(math.max(0, NOW - math.max(tonumber(found[8]), tonumber(found[9]) or 0)))
    end
    reply = 'RUN ' .. waited .. ' ' .. (found[10] or '') .. ' ' .. (found[11] or '') .. ' ' .. (found[12] or '') .. ' '
      .. found[13]
  end
  replies[#replies + 1] = reply
end
return cmsgpack.pack(replies)
