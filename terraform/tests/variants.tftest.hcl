# Further shapes, as plans.tftest.hcl.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag       = "v1"
  certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
}

run "endpoints_instead_of_nat" {
  variables {
    egress = "endpoints"
  }
  assert {
    condition     = length([for id in module.network.made : id if startswith(id, "nat")]) == 0
    error_message = "No NAT gateway is paid for."
  }
  assert {
    condition     = length([for id in module.network.made : id if startswith(id, "endpoint")]) == 6
    error_message = "S3, both of ECR, ECS, logs and Secrets Manager have endpoints."
  }
}

run "a_pool_with_gpus" {
  variables {
    max_cost_per_hour_usd = 20
    pools = {
      gpu = {
        cpu            = 4096, memory_mib = 15000, gpu = 1, max_workers = 4, spot_share = 0.8, capacity = "ec2", price_per_hour = 1.01
        instance_types = ["g5.xlarge", "g6.xlarge"], disk_gib = 100
      }
      big = { cpu = 4096, memory_mib = 30720, max_workers = 10 }
    }
  }
  assert {
    condition     = module.cluster.capacity_providers == toset(["FARGATE", "FARGATE_SPOT", "dask-graphql-pool-gpu"]) && module.cluster.default_capacity_provider == "FARGATE"
    error_message = "The machines of the pool have a provider, and what names none runs on Fargate."
  }
  assert {
    condition     = module.machines["gpu"].shape.image_parameter == "/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"
    error_message = "Their image has the drivers of GPUs."
  }
  assert {
    condition = (
      module.machines["gpu"].shape.metadata.http_tokens == "required" && module.machines["gpu"].shape.metadata.http_put_response_hop_limit == 1
      && module.machines["gpu"].shape.disk.encrypted == "true" && module.machines["gpu"].shape.disk.volume_size == 100
      && module.machines["gpu"].shape.public_address == "false"
    )
    error_message = "Tasks cannot take the machine's role, its disk is encrypted, and it has no public address."
  }
  assert {
    condition = (
      module.machines["gpu"].shape.max_instances == 4 && module.machines["gpu"].shape.on_demand_percent == 20
      && module.machines["gpu"].shape.scaling == "ENABLED" && module.machines["gpu"].shape.termination == "ENABLED"
      && module.machines["gpu"].shape.draining == "ENABLED" && module.machines["gpu"].shape.attached_role_name == "dask-graphql-pool-gpu"
    )
    error_message = "ECS scales the machines from 0 to those of max_workers, spares those that run workers, and drains the others first."
  }
  assert {
    condition = jsondecode(local.environment.POOLS).gpu == {
      capacity    = "ec2", capacity_provider = "dask-graphql-pool-gpu", cpu = 4, gpu = 1, max_workers = 4, memory_gib = 15000 / 1024,
      min_workers = 0, price_per_hour = 1.01, spot_share = 0.8
    }
    error_message = "Every node knows the pool."
  }
  assert {
    condition     = module.worker.pool_task_definitions["gpu"].family == "dask-graphql-worker-gpu" && module.controller_node.environment.ECS_POOL_TASK_DEFINITIONS == "gpu=${module.worker.pool_task_definitions["gpu"].arn}"
    error_message = "Its workers have a task definition of their own, which the controller knows; those on Fargate share one."
  }
  assert {
    condition     = module.worker.pool_shapes["gpu"] == { launch_types = toset(["EC2"]), network = "awsvpc", gpus = "1", cpu = "4096", memory = "15000" }
    error_message = "Each worker takes one GPU, on a machine."
  }
}

run "nat_in_each_of_three_zones" {
  variables {
    zone_count   = 3
    nat_per_zone = true
  }
  assert {
    condition     = length([for id in module.network.made : id if startswith(id, "nat")]) == 3
    error_message = "Three zones, three gateways."
  }
}

run "a_redis_of_ones_own" {
  variables {
    existing_redis = {
      url_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:my-redis-url-AbCdEf"
      port           = 6379
    }
  }
  assert {
    condition     = length(module.redis) == 0 && output.redis_url_secret_arn == "arn:aws:secretsmanager:us-east-1:123456789012:secret:my-redis-url-AbCdEf"
    error_message = "No ElastiCache is made, and the nodes read the secret that was given."
  }
  assert {
    condition     = local.worker_redis_url_secret_arn == local.redis_url_secret_arn
    error_message = "Workers read the same one, unless they have one of their own."
  }
}

run "a_redis_user_for_workers" {
  variables {
    existing_redis = {
      url_secret_arn        = "arn:aws:secretsmanager:us-east-1:123456789012:secret:my-redis-url-AbCdEf"
      port                  = 6379
      worker_url_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:for-workers-AbCdEf"
    }
  }
  assert {
    condition     = !contains(local.worker_common.secret_arns, local.redis_url_secret_arn) && local.worker_common.secrets.REDIS_URL == "arn:aws:secretsmanager:us-east-1:123456789012:secret:for-workers-AbCdEf"
    error_message = "Workers read their own secret, and may not read that of the other nodes."
  }
  assert {
    condition     = local.common.secrets.REDIS_URL == local.redis_url_secret_arn
    error_message = "The other nodes read the URL that may do everything."
  }
}

run "a_redis_without_credits" {
  command = plan
  variables {
    redis_node_type = "cache.r7g.large"
  }
  assert {
    condition     = !contains(output.alarm_names, "dask-graphql-redis-credits-1")
    error_message = "Only machines of the family t live on credits."
  }
}

run "a_new_redis_begins_with_a_snapshot" {
  command   = plan
  state_key = "restored"
  variables {
    redis_restore_snapshot = "dask-graphql-final"
  }
  assert {
    condition     = module.redis[0].snapshots.first == "dask-graphql-final" && module.redis[0].snapshots.last == "dask-graphql-final"
    error_message = "It begins with the snapshot, and takes one before it is destroyed."
  }
}

run "results_for_ever" {
  variables {
    result_ttl_seconds = 0
  }
  assert {
    condition     = local.results_days == 0
    error_message = "Nothing expires."
  }
}

run "a_budget" {
  variables {
    alarm_email        = "you@example.org"
    monthly_budget_usd = 50
  }
  assert {
    condition     = module.observability.has_budget
    error_message = "With an e-mail address there is a budget."
  }
}

run "a_balancer_inside" {
  command = plan
  variables {
    internal             = true
    idle_timeout_seconds = 4000
    excluded_zone_ids    = ["use1-az3"]
  }
  assert {
    condition     = module.api_node.environment.TRUSTED_PROXIES == "10.20.16.0/20,10.20.32.0/20"
    error_message = "Its subnets are the private ones."
  }
  assert {
    condition     = module.api_node.environment.KEEP_ALIVE_SECONDS == "4030"
    error_message = "A node keeps connections longer than the load balancer, whatever that is told."
  }
}
