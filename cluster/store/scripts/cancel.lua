-- Cancels an open task, or takes back what one of its submitters wants.
-- ARGV: 3 ttl (ms), 4 event limit, 5 error (JSON), 6 the actor, or '', 7 mode:
--         'withdraw': takes the actor off the submitters, and ends the task if nobody else wants it
--         'force', 'cancel', 'cancel_any': ends the task if the actor may decide about it (may_decide)
--       8 '1' to change nothing and return what would be
-- Returns {1, record, others, is_submitter} if it ended: how many others wanted it, and whether the actor did (0/1);
-- {0, the same} if not, because it had ended before, or because others want it; or {0} if there is no such task; packed.
local state = load_task()
if not state then return cmsgpack.pack({0}) end
if is_final(state) then return cmsgpack.pack({0, read_brief_record(), 0, 0}) end
local actor, mode, changes = ARGV[6] or '', ARGV[7] or 'force', ARGV[8] ~= '1'
local others, is_submitter = count_others(actor)
local function reply(ended, record) return cmsgpack.pack({ended, record, others, is_submitter and 1 or 0}) end
if mode == 'withdraw' then
  if others > 0 then
    if is_submitter and changes then
      redis.call('HDEL', RECORD, 'by:' .. (parse_actor(actor)))
      redis.call('HSET', RECORD, 'submitters', others)
    end
    return reply(0, read_brief_record())
  end
elseif not may_decide(mode, actor, others, is_submitter) then
  return reply(0, read_brief_record())
end
if not changes then return reply(1, read_brief_record()) end
if actor ~= '' then set_field('cancelled_by', actor) end
end_with_error('CANCELLED', TASK.attempt, ARGV[5], ARGV[3], ARGV[4])
return reply(1, read_record())
