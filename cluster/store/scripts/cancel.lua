-- Cancels an open task, or takes back what one of its submitters wants.
-- ARGV: 3 ttl (ms), 4 event limit, 5 error (JSON), 6 the actor, or '', 7 mode:
--         'force': ends the task, whoever wants it
--         'withdraw': takes the actor off the submitters, and ends the task if nobody else wants it
--         'cancel': ends the task if no other submitter wants it; or if the actor is no submitter, and the only one has
--         the actor's account. 'cancel_any': the same, of whatever account
-- Returns {1, record} if it ended; {0, record} if not, because it had ended before, or because others want it; or {0} if
-- there is no such task; packed.
local state = load_task()
if not state then return cmsgpack.pack({0}) end
if is_final(state) then return cmsgpack.pack({0, read_brief_record()}) end
-- The account of the only submitter; nothing if it is unknown.
local function only_account(first, noted)
  if not noted then return select(2, parse_actor(first)) end
  for _, field in ipairs(redis.call('HKEYS', RECORD)) do
    if string.sub(field, 1, 3) == 'by:' then return select(2, parse_actor(get_field(field))) end
  end
end

local actor, mode = ARGV[6] or '', ARGV[7] or 'force'
if mode ~= 'force' then
  local name, account = parse_actor(actor)
  local first, count, is_submitter = read_submitters(name)
  local others = is_submitter and count - 1 or count
  if others > 0 then
    local may_end = false
    if mode == 'withdraw' and is_submitter then
      redis.call('HDEL', RECORD, 'by:' .. name)
      redis.call('HSET', RECORD, 'submitters', others)
    elseif mode ~= 'withdraw' and not is_submitter and others == 1 then
      local owner = mode == 'cancel' and only_account(first, get_field('submitters'))
      may_end = not owner or owner == account
    end
    if not may_end then return cmsgpack.pack({0, read_brief_record()}) end
  end
end
if actor ~= '' then set_field('cancelled_by', actor) end
end_with_error('CANCELLED', TASK.attempt, ARGV[5], ARGV[3], ARGV[4])
return cmsgpack.pack({1, read_record()})
