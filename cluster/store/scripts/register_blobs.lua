-- An attempt is about to write its first blob. Before the write, so that no blob is ever without an entry.
-- ARGV: 3 when to look whether the task is still there, from now (ms). KEYS[7] is needed.
return redis.call('ZADD', BLOBS, int(NOW + tonumber(ARGV[3])), ID)
