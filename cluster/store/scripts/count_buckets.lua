-- Counts the tasks of a shard by when they were submitted, in spans of the same length. ARGV[2] is not used.
-- ARGV: 3 begin of the first span (ms), 4 length of a span (ms), 5 number of spans, 6 how many of the lists that follow
--   are counted as all, 7... lists, as what follows the base name of the index; those beyond ARGV 6 as failed
-- Returns the number of all tasks in each span, then that of failed ones.
local first, length, spans, all = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local counts = {}
for i = 1, 2 * spans do counts[i] = 0 end
for i = 7, #ARGV do
  local list, offset = INDEX .. ARGV[i], i - 6 <= all and 0 or spans
  if redis.call('ZCOUNT', list, int(first), '(' .. int(first + length * spans)) > 0 then
    for span = 1, spans do
      local from = first + (span - 1) * length
      local number = redis.call('ZCOUNT', list, int(from), '(' .. int(from + length))
      counts[offset + span] = counts[offset + span] + number
    end
  end
end
return cmsgpack.pack(counts)
