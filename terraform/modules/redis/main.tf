# ElastiCache for Valkey or Redis: two members in two zones, TLS, AUTH, and the secret with its URL.

locals {
  family = {
    valkey = "valkey8"
    redis  = "redis7"
  }
  version = {
    valkey = "8.0"
    redis  = "7.1"
  }
}

resource "aws_elasticache_subnet_group" "this" {
  name        = var.name
  description = "Redis of ${var.name}"
  subnet_ids  = var.subnet_ids
}

resource "aws_elasticache_parameter_group" "this" {
  # The engine is in the name, since a family cannot be changed in place.
  name        = "${var.name}-${local.family[var.engine]}"
  description = "Records are the truth: what does not fit is refused, never evicted"
  family      = local.family[var.engine]
  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
  lifecycle {
    create_before_destroy = true
  }
}

# The AUTH token is not here: `auth_token` would be kept in the state in plain text, as it is no write-only attribute.
# `scripts/aws/deploy.py secrets` takes it from the secret below and sets it by ModifyReplicationGroup.
resource "aws_elasticache_replication_group" "this" {
  replication_group_id       = var.name
  description                = "Records of ${var.name}"
  engine                     = var.engine
  engine_version             = local.version[var.engine]
  node_type                  = var.node_type
  num_cache_clusters         = var.members
  automatic_failover_enabled = var.members > 1
  multi_az_enabled           = var.members > 1
  port                       = var.port
  parameter_group_name       = aws_elasticache_parameter_group.this.name
  subnet_group_name          = aws_elasticache_subnet_group.this.name
  security_group_ids         = [var.security_group_id]
  at_rest_encryption_enabled = true
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  auto_minor_version_upgrade = true
  snapshot_retention_limit   = var.snapshot_days
  snapshot_window            = var.snapshot_days > 0 ? "03:00-04:00" : null
  maintenance_window         = "sun:05:00-sun:06:00"
  apply_immediately          = true
}

# Made anew at every plan, used only when the version below changes; in neither the plan nor the state.
ephemeral "aws_secretsmanager_random_password" "token" {
  password_length     = 48
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "url" {
  name                    = "${var.name}/redis-url"
  description             = "URL of Redis with the AUTH token"
  recovery_window_in_days = var.secret_recovery_days
}

resource "aws_secretsmanager_secret_version" "url" {
  secret_id                = aws_secretsmanager_secret.url.id
  secret_string_wo         = "rediss://:${ephemeral.aws_secretsmanager_random_password.token.random_password}@${aws_elasticache_replication_group.this.primary_endpoint_address}:${var.port}/0"
  secret_string_wo_version = var.token_version
  lifecycle {
    # A new server has a new address, and no token yet.
    replace_triggered_by = [aws_elasticache_replication_group.this.id]
  }
}
