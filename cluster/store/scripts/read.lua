-- Answers the record, without a result that is long, packed; nothing in it where there is no such task.
return cmsgpack.pack(load() and brief() or {})
