-- A file is about to get its place in the blob store: the place is deleted later if it does not become a file's until
-- then. Called before the bytes are there, so that no bytes are ever without an entry.
-- ARGV: 3 place, 4 delay until the place is deleted (ms), 5 tenant and 6 SHA-256, if a client will write there itself,
--   else '', ''; 7 its size, 8 media type, 9 name
-- Returns the place: of an earlier offer for the same file, if that is still open.
local place = ARGV[3]
if ARGV[6] ~= '' then
  local file = file_key(ARGV[5], ARGV[6])
  local earlier = redis.call('HGET', file, 'offered')
  if earlier and redis.call('ZSCORE', SHARD .. ':places', '+' .. earlier) then
    place = earlier
  else
    redis.call('HSET', file, 'offered', place)
    if redis.call('HEXISTS', file, 'source') == 0 then
      redis.call('HSET', file, 'size_bytes', ARGV[7] or 0, 'media_type', ARGV[8] or '', 'name', ARGV[9] or '')
    end
  end
  redis.call('ZADD', SHARD .. ':files', 'GT', int(NOW + tonumber(ARGV[4])), ARGV[5] .. ':' .. ARGV[6])
end
redis.call('ZADD', SHARD .. ':places', int(NOW + tonumber(ARGV[4])), '+' .. place)
return place
