-- The recoverer takes the open tasks of a shard whose time has come. ARGV[2] is unused here.
-- ARGV: 3 cutoff (ms; '' for now), 4 most, 5 check_after (ms), 6 most bytes of inputs, 7 spared (ms; ''): dispatched attempts
--       that are QUEUED and not due before this time are passed over, as they may be on their way to the scheduler
-- Answers {1 if there may be more, then per task: id, action, attempt, state, dispatch fields name, input, priority}
--   action 'dispatch': nobody has dispatched this attempt yet, and the caller must
--   action 'check': it was dispatched; the caller asks the scheduler whether it still holds it
-- A cutoff in the future makes every dispatched task due, as a new scheduler knows none of them.
local cutoff = ARGV[3] == '' and NOW_TEXT or ARGV[3]
local spared = tonumber(ARGV[7]) or math.huge
-- Not before the cutoff, so that paging up to it comes to an end.
local again = int(math.max(NOW + tonumber(ARGV[5]), tonumber(cutoff) + 1))
local most, room, found, offset = tonumber(ARGV[4]), tonumber(ARGV[6]), 0, 0
local answer, ids = {0}, nil
repeat
  ids = redis.call('ZRANGEBYSCORE', OPEN, '-inf', cutoff, 'WITHSCORES', 'LIMIT', offset, most - found)
  for i = 1, #ids, 2 do
    local id, score = ids[i], tonumber(ids[i + 1])
    local key = RECORD .. id
    local record = redis.call('HMGET', key, 'state', 'attempt', 'dispatched', 'name', 'priority')
    local state = record[1]
    if not state or final(state) then
      redis.call('ZREM', OPEN, id)
    elseif state == 'QUEUED' and tonumber(record[3]) < tonumber(record[2]) then
      if score > NOW then
        -- A delayed task keeps its time, so it stays in the range and is passed over.
        offset = offset + 1
      elseif room > 0 then
        local input = redis.call('HGET', key, 'input')
        room = room - #input
        redis.call('HSET', key, 'dispatched', record[2])
        redis.call('ZADD', OPEN, again, id)
        for _, item in ipairs({id, 'dispatch', record[2], state, record[4], input, record[5]}) do
          answer[#answer + 1] = item
        end
        found = found + 1
      end
    elseif state == 'QUEUED' and score > spared then
      offset = offset + 1
    else
      redis.call('ZADD', OPEN, again, id)
      for _, item in ipairs({id, 'check', record[2], state, record[4], '', ''}) do answer[#answer + 1] = item end
      found = found + 1
    end
  end
until #ids == 0 or found >= most or room <= 0
if #ids > 0 then answer[1] = 1 end
return answer
