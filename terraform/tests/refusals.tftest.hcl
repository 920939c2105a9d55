# What the variables refuse, before anything is bought. Many at once, since each run plans the whole system.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag       = "v1"
  certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
}

run "wrong_values" {
  command = plan
  variables {
    image_tag                = "latest"
    name                     = "ecs-system"
    secret_recovery_days     = 3
    task_modules             = ["my tasks"]
    settings                 = { DASK_GRAPHQL_QUEUE_LIMIT = "10" }
    result_ttl_seconds       = -1
    min_workers              = 5
    max_workers              = 4
    spot_share               = 1.1
    max_cost_per_hour_usd    = -1
    max_cost_per_day_usd     = -1
    worker_threads           = 0
    worker_storage_gib       = 10
    architecture             = "RISCV"
    authentication           = "basic"
    certificate_arn          = "my-certificate"
    allowed_cidrs            = ["203.0.113.7"]
    idle_timeout_seconds     = 5000
    api_min                  = 0
    api_requests_per_minute  = 0
    api_connections          = 0
    api_cpu                  = 100
    api_memory_mib           = 256
    scheduler_cpu            = 100
    scheduler_memory_mib     = 256
    controller_cpu           = 100
    controller_memory_mib    = 256
    images_kept              = 1
    vpc_cidr                 = "10.0.0.0/24"
    zone_count               = 1
    egress                   = "proxy"
    excluded_zone_ids        = ["us-east-1a"]
    domain                   = { name = "https://api.example.com", zone_id = "Z1" }
    access_log_days          = -1
    firewall                 = { requests_per_minute = 1 }
    kms_key_arn              = "alias/mine"
    role_path                = "services"
    permissions_boundary_arn = "boundary"
    task_secrets             = { DATABASE_URL = "postgresql://me:secret@db/" }
    secret_key_arns          = ["alias/theirs"]
    container_insights       = "true"
    assign_public_ip         = true
    redis_engine             = "keydb"
    redis_node_type          = "m5.large"
    redis_members            = 0
    redis_shards             = 17
    redis_snapshot_days      = 36
    redis_restore_snapshot   = "my snapshot"
    existing_redis           = { url_secret_arn = "rediss://...", port = 6379 }
    alarm_email              = "nobody"
    monthly_budget_usd       = -1
    alarm_queue_age_seconds  = 0
    log_retention_days       = 11
    existing_vpc = {
      vpc_id             = "vpc-0123456789abcdef0"
      private_subnet_ids = ["subnet-0123456789abcdef0"]
      public_subnet_ids  = ["subnet-0123456789abcdef2", "subnet-0123456789abcdef3"]
    }
  }
  expect_failures = [
    var.kms_key_arn, var.role_path, var.permissions_boundary_arn, var.task_secrets, var.secret_key_arns, var.container_insights,
    var.excluded_zone_ids, var.domain, var.access_log_days, var.firewall,
    var.image_tag, var.name, var.secret_recovery_days, var.task_modules, var.settings, var.result_ttl_seconds,
    var.max_workers, var.spot_share, var.max_cost_per_hour_usd, var.max_cost_per_day_usd, var.worker_threads, var.worker_storage_gib, var.architecture, var.authentication,
    var.certificate_arn, var.allowed_cidrs, var.idle_timeout_seconds, var.api_min, var.api_requests_per_minute,
    var.api_connections, var.api_cpu, var.api_memory_mib, var.scheduler_cpu, var.scheduler_memory_mib, var.controller_cpu,
    var.controller_memory_mib, var.images_kept, var.vpc_cidr, var.zone_count, var.egress, var.redis_engine,
    var.redis_node_type, var.redis_members, var.redis_snapshot_days, var.redis_restore_snapshot, var.existing_redis, var.alarm_email,
    var.monthly_budget_usd, var.alarm_queue_age_seconds, var.log_retention_days, var.existing_vpc,
  ]
}

run "keys_in_clear_text_by_default" {
  command = plan
  variables {
    certificate_arn = ""
  }
  expect_failures = [var.plain_http]
}

# By itself: Terraform does not look at pools where ec2_capacity, which they refer to, is refused.
run "a_pool_of_a_size_that_fargate_lacks" {
  command = plan
  variables {
    pools = { big = { cpu = 4096, memory_mib = 32768 } }
  }
  expect_failures = [var.pools]
}

run "pools_on_machines_that_ecs_would_not_have" {
  command = plan
  variables {
    architecture         = "ARM64"
    max_cost_per_day_usd = 10
    pools = {
      gpu     = { cpu = 4096, memory_mib = 15000, gpu = 1, capacity = "ec2" }
      managed = { cpu = 4096, memory_mib = 16384, capacity = "managed_instances" }
    }
  }
  expect_failures = [var.pools]
}

run "a_certificate_of_another_region" {
  command = plan
  variables {
    region = "eu-central-1"
  }
  expect_failures = [var.certificate_arn]
}

run "more_than_a_vcpu_has" {
  command = plan
  variables {
    worker_cpu        = 1024
    worker_memory_mib = 9216
    api_max           = 1
    region            = "Frankfurt"
    task_environment  = { DASK_GRAPHQL_REDIS_URL = "redis://elsewhere" }
    assign_public_ip  = true
    min_workers       = -1
    ec2_capacity      = { instance_types = [], max_instances = 1 }
  }
  expect_failures = [var.region, var.task_environment, var.worker_memory_mib, var.api_max, var.assign_public_ip, var.min_workers, var.ec2_capacity]
}

run "between_fargates_steps" {
  command = plan
  variables {
    worker_cpu        = 2048
    worker_memory_mib = 4500
  }
  expect_failures = [var.worker_memory_mib]
}

run "the_largest_worker_is_accepted" {
  command = plan
  variables {
    worker_cpu        = 16384
    worker_memory_mib = 122880
  }
}

run "the_smallest_worker_is_accepted" {
  command = plan
  variables {
    worker_cpu        = 256
    worker_memory_mib = 512
  }
}

run "a_shard_without_a_replica" {
  command = plan
  variables {
    redis_shards  = 17
    redis_members = 1
  }
  expect_failures = [var.redis_shards]
}
