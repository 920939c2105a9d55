-- Writes when something was done, by the server's clock. KEYS: 1 where. ARGV: 3 what else to write, or ''. Answers the time.
redis.call('SET', RECORD, ARGV[3] == '' and NOW_TEXT or NOW_TEXT .. ' ' .. ARGV[3])
return NOW
