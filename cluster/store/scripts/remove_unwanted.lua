-- The children of these runs have been withdrawn. ARGV: 3... '<id> <submitted_at>'
for i = 3, #ARGV do redis.call('ZREM', SHARD .. ':unwanted', ARGV[i]) end
return 1
