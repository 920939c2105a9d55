-- A node no longer waits for a task. ARGV: 3 node id
return redis.call('HDEL', WATCH, ARGV[3])
