# ElastiCache for Valkey or Redis: two members in two zones, or in cluster mode two of each shard; TLS, AUTH, and the secret
# with its URL.

locals {
  clustered = var.shards > 0
  family = {
    valkey = "valkey8"
    redis  = "redis7"
  }
  version = {
    valkey = "8.0"
    redis  = "7.1"
  }
  # What backups and failovers need beside the records, as AWS recommends it by size. `maxmemory`, by which nodes and the
  # alarm know how full Redis is, is the rest.
  reserved_percent = endswith(var.node_type, ".micro") ? 50 : endswith(var.node_type, ".small") ? 30 : 25
}

resource "aws_elasticache_subnet_group" "this" {
  name        = var.name
  description = "Redis of ${var.name}"
  subnet_ids  = var.subnet_ids
}

resource "aws_elasticache_parameter_group" "this" {
  # The engine is in the name, since a family cannot be changed in place.
  name        = "${var.name}-${local.family[var.engine]}${local.clustered ? "-cluster" : ""}"
  description = "Records are the truth: what does not fit is refused, never evicted"
  family      = local.family[var.engine]
  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
  parameter {
    name  = "reserved-memory-percent"
    value = tostring(local.reserved_percent)
  }
  dynamic "parameter" {
    for_each = local.clustered ? ["yes"] : []
    content {
      name  = "cluster-enabled"
      value = parameter.value
    }
  }
  lifecycle {
    create_before_destroy = true
  }
}

# The AUTH token is not here: `auth_token` is no write-only argument, so it would stand in the state in plain text.
# `scripts/aws/deploy.py secrets` makes it, sets it by ModifyReplicationGroup, and writes the URL into the secret below.
resource "aws_elasticache_replication_group" "this" {
  replication_group_id       = var.name
  description                = "Records of ${var.name}"
  engine                     = var.engine
  engine_version             = local.version[var.engine]
  node_type                  = var.node_type
  num_cache_clusters         = local.clustered ? null : var.members
  num_node_groups            = local.clustered ? var.shards : null
  replicas_per_node_group    = local.clustered ? var.members - 1 : null
  automatic_failover_enabled = var.members > 1
  multi_az_enabled           = var.members > 1
  port                       = var.port
  parameter_group_name       = aws_elasticache_parameter_group.this.name
  subnet_group_name          = aws_elasticache_subnet_group.this.name
  security_group_ids         = [var.security_group_id]
  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn == "" ? null : var.kms_key_arn
  transit_encryption_enabled = true
  auto_minor_version_upgrade = false
  snapshot_name              = var.restore_snapshot == "" ? null : var.restore_snapshot
  final_snapshot_identifier  = var.final_snapshot ? "${var.name}-final" : null
  snapshot_retention_limit   = var.snapshot_days
  snapshot_window            = var.snapshot_days > 0 ? "03:00-04:00" : null
  maintenance_window         = "sun:05:00-sun:06:00"
  apply_immediately          = true
  lifecycle {
    # The provider replaces the group, with all records and API keys, if AWS reports a newer version than this one, or if
    # the snapshot that it began with is another one. The version of a group that exists is raised in AWS (docs/aws.md).
    ignore_changes = [engine_version, snapshot_name]
  }
}

# Empty until `scripts/aws/deploy.py secrets` writes the URL into it. A node without it does not start, and says so.
resource "aws_secretsmanager_secret" "url" {
  name                    = "${var.name}/redis-url"
  description             = "URL of Redis with the AUTH token"
  kms_key_id              = var.kms_key_arn == "" ? null : var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days
}
