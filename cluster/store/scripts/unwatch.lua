-- Removes a node from the watchers of a task. ARGV: 3 node id
return redis.call('HDEL', WATCH, ARGV[3])
