-- An attempt is about to write its first blob. Called before the write, so that no blob is ever without an entry.
-- ARGV: 3 delay until it is checked whether the task still exists (ms). Needs KEYS[7].
return redis.call('ZADD', BLOBS, int(NOW + tonumber(ARGV[3])), ID)
