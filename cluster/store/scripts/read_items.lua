-- Reads a page of the items of a task's stream. With a node, registers it as a watcher of every event unless the task
-- has ended, in the same step: no item can fall in between.
-- ARGV: 3 node id, or '', 4 ttl of its entry (ms), 5 the attempt whose items the caller has ('' for none), 6 how many of
--       them it has, 7 limit of items, 8 limit of bytes (one item more than fits is included)
-- Returns {attempt ('' for no items yet), number of items before these, items, 1 if there are more, record (without a
-- long result)}, packed; {'', 0, {}, 0} if there is no such task (yet). The items of another attempt begin anew.
local state = load_task()
if ARGV[3] ~= '' and not (state and is_final(state)) then
  redis.call('HSET', WATCH, ARGV[3], 'e')
  redis.call('PEXPIRE', WATCH, ARGV[4])
end
if not state then return cmsgpack.pack({'', 0, {}, 0}) end
local attempt = TASK.stream or ''
local first, page, bytes = attempt == ARGV[5] and tonumber(ARGV[6]) or 0, {}, 0
local limit, max_bytes, more = tonumber(ARGV[7]), tonumber(ARGV[8]), 0
-- In steps, as items may be long.
local STEP = 16
while attempt ~= '' and #page < limit and bytes <= max_bytes do
  local from = first + #page
  local found = redis.call('LRANGE', items_key(), from, from + math.min(STEP, limit - #page) - 1)
  for _, item in ipairs(found) do
    if bytes > max_bytes then break end
    page[#page + 1] = item
    bytes = bytes + #item
  end
  if #found < STEP then break end
end
if attempt ~= '' and redis.call('LLEN', items_key()) > first + #page then more = 1 end
return cmsgpack.pack({attempt, first, page, more, read_brief_record()})
