-- The recoverer claims the due tasks of a shard. ARGV[2] is not used.
-- ARGV: 3 cutoff (ms; '' for now), 4 limit, 5 check_after (ms), 6 limit of the inputs' bytes, 7 skip_unstarted_after
--       (ms; ''): skips dispatched attempts that are QUEUED and due after this time, as they may be on their way to the
--       scheduler, 8... names of paused task types
-- A due task that is subject to limits, or of a paused type, is held instead.
-- Returns {1 if there may be more, then for each task: id, action, attempt, state, name, input, priority,
--   account, resumes (1: the attempt replaces one that had started; or ''), pool (a larger one that it moved to; or '')}
--   action 'dispatch': this attempt was not dispatched yet, and the caller must dispatch it
--   action 'check': it was dispatched; the caller asks the scheduler whether it still has it
-- A cutoff in the future makes every dispatched task due, as a new scheduler knows none of them.
local cutoff = ARGV[3] == '' and NOW_TEXT or ARGV[3]
local skip_after = tonumber(ARGV[7]) or math.huge
-- After the cutoff, so that paging up to it comes to an end.
local next_check = int(math.max(NOW + tonumber(ARGV[5]), tonumber(cutoff) + 1))
local limit, bytes_left, count, offset = tonumber(ARGV[4]), tonumber(ARGV[6]), 0, 0
local reply, due, held = {0}, nil, false
local paused = {}
for i = 8, #ARGV do paused[ARGV[i]] = true end
repeat
  due = redis.call('ZRANGEBYSCORE', OPEN, '-inf', cutoff, 'WITHSCORES', 'LIMIT', offset, limit - count)
  for i = 1, #due, 2 do
    local id, due_at = due[i], tonumber(due[i + 1])
    local key = RECORD .. id
    local record = redis.call('HMGET', key, 'state', 'attempt', 'dispatched', 'name', 'priority', 'account',
      'resumes', 'limits', 'submitted_at', 'pool')
    local state = record[1]
    if not state or is_final(state) then
      redis.call('ZREM', OPEN, id)
    elseif state == 'QUEUED' and tonumber(record[3]) < tonumber(record[2]) then
      if due_at > NOW then
        -- A delayed task keeps its score, so it stays in the range and is skipped.
        offset = offset + 1
      elseif record[8] or paused[record[4]] then
        if not record[8] then redis.call('HSET', key, 'limits', 't:' .. record[4]) end
        held = hold(id, record[8] or 't:' .. record[4], record[5], record[9]) or held
        count = count + 1
      elseif bytes_left > 0 then
        local input = redis.call('HGET', key, 'input')
        bytes_left = bytes_left - #input
        redis.call('HSET', key, 'dispatched', record[2])
        redis.call('ZADD', OPEN, next_check, id)
        for _, item in ipairs({id, 'dispatch', record[2], state, record[4], input, record[5], record[6] or '',
          record[7] or '', record[10] or ''}) do
          reply[#reply + 1] = item
        end
        count = count + 1
      end
    elseif state == 'QUEUED' and due_at > skip_after then
      offset = offset + 1
    else
      redis.call('ZADD', OPEN, next_check, id)
      for _, item in ipairs({id, 'check', record[2], state, record[4], '', '', '', '', ''}) do reply[#reply + 1] = item end
      count = count + 1
    end
  end
until #due == 0 or count >= limit or bytes_left <= 0
if #due > 0 then reply[1] = 1 end
if held then announce_woken() end
return reply
