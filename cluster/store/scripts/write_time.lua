-- Writes the time, by the server's clock, to a key of the caller's: that something was done, or that Redis takes
-- writes. KEYS: 1 the key. ARGV: 3 text to append after a space, or '', 4 time to live (ms; '': for ever)
-- Returns the time (ms).
local value = ARGV[3] == '' and NOW_TEXT or NOW_TEXT .. ' ' .. ARGV[3]
if ARGV[4] == '' then
  redis.call('SET', RECORD, value)
else
  redis.call('SET', RECORD, value, 'PX', ARGV[4])
end
return NOW
