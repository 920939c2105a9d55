-- A node tries whether Redis takes its writes. KEYS: 1 its key. ARGV: 3 how long that is kept (ms). Answers the time.
redis.call('SET', RECORD, NOW_TEXT, 'PX', ARGV[3])
return NOW
