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
