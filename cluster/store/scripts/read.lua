-- Returns the record without a long result, packed; an empty array if there is no such task.
return cmsgpack.pack(load_task() and read_brief_record() or {})
