-- An attempt ends with an error. ARGV: 3 attempt, 4 error (JSON), 5 ttl (ms), 6 event limit,
--   7 retries allowed, 8 delay before the first retry (ms; multiplied by the factor for each further one), 9 message,
--   10 longest delay (ms), 11 the field that counts these retries: 'retries', or 'unstored' if the blob store was
--   unavailable, 12 bytes of the blobs that the attempt saved, 13 factor, 14 what the delay is multiplied by in the end,
--   15 its last lines (append_log; '' for none), 16 how it began, if its start was deferred (record_deferred_start; or '')
-- Returns 'FAILED', 'RETRY', or 'REFUSED' by the fence. If the reply was lost and the call is repeated, returns
-- 'FAILED' again.
local state = load_task()
if state == 'FAILED' and TASK.attempt == ARGV[3] and get_field('error') == ARGV[4] then return 'FAILED' end
if not state or is_final(state) or TASK.attempt ~= ARGV[3] then return 'REFUSED' end
append_log(ARGV[3], ARGV[15])
record_deferred_start(ARGV[16])
local retries = tonumber(get_field(ARGV[11]) or 0)
if retries >= tonumber(ARGV[7]) then
  KEPT_BYTES = tonumber(ARGV[12]) or 0
  end_with_error('FAILED', ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[9])
  return 'FAILED'
end
local attempt = tonumber(ARGV[3]) + 1
-- A retry waits for its account's turn again.
set_field('resumes', '')
set_field(ARGV[11], retries + 1)
requeue(attempt)
-- No pause is as long as 1e12 ms, and 0 times infinity is no number.
local growth = math.min((tonumber(ARGV[13]) or 2) ^ retries, 1e12)
local delay = math.min(tonumber(ARGV[8]) * growth, tonumber(ARGV[10])) * (tonumber(ARGV[14]) or 1)
redis.call('ZADD', OPEN, int(NOW + delay), ID)
commit('RETRY', attempt, ARGV[6], '', ARGV[9])
return 'RETRY'
