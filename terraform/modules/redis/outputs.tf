output "replication_group_id" {
  description = "The replication group, whose AUTH token the deploy script sets."
  value       = aws_elasticache_replication_group.this.id
}

output "member_ids" {
  description = "Cache cluster ids, the dimension of its metrics."
  value = local.clustered ? [
    for pair in setproduct(range(var.shards), range(var.members)) :
    format("%s-%04d-%03d", var.name, pair[0] + 1, pair[1] + 1)
  ] : [for number in range(var.members) : format("%s-%03d", var.name, number + 1)]
}

output "snapshots" {
  description = "The snapshot that the group began with, and the one that it takes before it is destroyed; null for none."
  value = {
    first = aws_elasticache_replication_group.this.snapshot_name
    last  = aws_elasticache_replication_group.this.final_snapshot_identifier
  }
}

output "url_secret_arn" {
  description = "Secret with the URL."
  value       = aws_secretsmanager_secret.url.arn
}

output "address" {
  description = "host:port of the current primary; in cluster mode, where the nodes of the system find all primaries."
  value = format("%s:%d", local.clustered
    ? aws_elasticache_replication_group.this.configuration_endpoint_address
  : aws_elasticache_replication_group.this.primary_endpoint_address, var.port)
}
