"""Tables and arrays: written by workers, read and converted by api nodes. pyarrow is imported with the first one."""
