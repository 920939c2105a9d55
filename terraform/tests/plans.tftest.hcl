# The shapes of the system, planned and applied against a mocked provider: no account, no network.
#
#   terraform -chdir=terraform test

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag       = "v1"
  certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
}

run "defaults" {
  assert {
    condition     = module.redis[0].replication_group_id != "" && length(module.redis[0].member_ids) == 2
    error_message = "Redis has a primary and a replica."
  }
  assert {
    condition     = output.url == "https://${module.api.dns_name}"
    error_message = "With a certificate the url is https."
  }
  assert {
    condition     = length(module.api.guards) == 0
    error_message = "A firewall and access logs are bought by their variables only."
  }
  assert {
    condition     = tonumber(module.api_node.environment.KEEP_ALIVE_SECONDS) > module.api.idle_timeout_seconds
    error_message = "A node that closes a connection before the load balancer does loses the request that comes meanwhile."
  }
  assert {
    condition     = module.api_node.environment.TRUSTED_PROXIES == "10.20.0.0/24,10.20.1.0/24"
    error_message = "Only the load balancer's subnets say who clients are."
  }
  assert {
    condition     = output.worker_family == "dask-graphql-worker"
    error_message = "The worker's family is named after the system."
  }
  assert {
    condition     = length(output.services) == 3
    error_message = "api, scheduler and controller are services; the worker is none."
  }
  assert {
    condition     = local.results_days == 2
    error_message = "A result that is kept for a day is deleted from the bucket after two at the latest."
  }
  assert {
    condition     = local.public_url == ""
    error_message = "Which name of the certificate clients use is not known."
  }
  assert {
    condition     = !contains(keys(local.environment), "REDIS_URL") && !contains(keys(local.environment), "TLS_KEY")
    error_message = "Secrets are in no plain environment."
  }
}

run "an_update_of_the_api_alone" {
  command = plan
  variables {
    image_tag         = "v2"
    compute_image_tag = "v1"
  }
  assert {
    condition     = local.compute_image_tag == "v1" && local.common.image_tag == "v1"
    error_message = "Scheduler, workers and controller keep their images."
  }
}

run "pools" {
  command = plan
  variables {
    architecture = "ARM64"
    pools        = { big = { cpu = 4096, memory_mib = 30720, max_workers = 10, spot_share = 0.5 } }
  }
  assert {
    condition     = jsondecode(local.environment.POOLS).big == { capacity = "fargate_arm64", cpu = 4, max_workers = 10, memory_gib = 30, min_workers = 0, spot_share = 0.5 }
    error_message = "Every node knows the pool."
  }
  assert {
    condition     = jsondecode(local.environment.POOLS).default.memory_gib == 2 && jsondecode(local.environment.POOLS).default.cpu == 1
    error_message = "Beside others, the default pool has a size too."
  }
}

run "a_domain" {
  command = plan
  variables {
    allowed_hosts = ["api.example.com"]
  }
  assert {
    condition     = local.public_url == "https://api.example.com"
    error_message = "Links begin with the domain."
  }
}

run "several_domains" {
  command = plan
  variables {
    allowed_hosts = ["api.example.com", "*.example.org"]
  }
  assert {
    condition     = local.public_url == ""
    error_message = "Links begin with the name that each client uses."
  }
}

run "a_domain_of_ones_own" {
  state_key = "domain"
  variables {
    certificate_arn = ""
    domain          = { name = "api.example.com", zone_id = "Z0123456789ABCDEFGHIJ" }
    access_log_days = 30
    firewall        = {}
  }
  assert {
    condition     = output.url == "https://api.example.com" && local.public_url == "https://api.example.com"
    error_message = "The domain is the api's name, in the output and in links."
  }
  assert {
    condition     = local.allowed_hosts == tolist(["api.example.com"])
    error_message = "Requests for other names are refused."
  }
  assert {
    condition = join(", ", module.api.guards) == join(", ", [
      "access logs", "rule AWSManagedRulesAmazonIpReputationList", "rule AWSManagedRulesCommonRuleSet",
      "rule AWSManagedRulesKnownBadInputsRuleSet", "rule requests-of-one-address",
    ])
    error_message = "Access logs and the firewall stand where they are asked for."
  }
}

run "http_without_a_certificate" {
  variables {
    certificate_arn = ""
    plain_http      = true
  }
  assert {
    condition     = local.public_url == "http://${lower(module.api.dns_name)}"
    error_message = "Links begin with the load balancer's name."
  }
  expect_failures = [check.keys_in_clear_text]
}

run "an_open_door" {
  command = plan
  variables {
    authentication = "none"
  }
  expect_failures = [check.open_to_the_world]
}

run "an_existing_vpc" {
  variables {
    existing_vpc = {
      vpc_id             = "vpc-0123456789abcdef0"
      private_subnet_ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
      public_subnet_ids  = ["subnet-0123456789abcdef2", "subnet-0123456789abcdef3"]
    }
  }
  assert {
    condition     = module.network.vpc_id == "vpc-0123456789abcdef0" && length(module.network.made) == 0
    error_message = "No VPC, subnet, gateway or endpoint is made beside an existing one."
  }
  assert {
    condition     = module.api_node.environment.TRUSTED_PROXIES == "100.64.8.0/24,100.64.8.0/24"
    error_message = "The load balancer's subnets say who clients are, whatever range they are of."
  }
  assert {
    condition     = toset(output.subnet_ids) == toset(["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"])
    error_message = "Nodes stand in the private subnets that were given."
  }
}

run "ec2_capacity" {
  variables {
    egress     = "endpoints"
    spot_share = 0.5
    ec2_capacity = {
      instance_types = ["c7i.2xlarge", "c6i.2xlarge"]
      max_instances  = 5
    }
  }
  assert {
    condition     = module.cluster.capacity_providers == toset(["FARGATE", "FARGATE_SPOT", "dask-graphql-ec2"])
    error_message = "The machines' provider stands beside Fargate's."
  }
  assert {
    condition     = module.cluster.default_capacity_provider == "dask-graphql-ec2"
    error_message = "A worker that names no provider runs on the machines."
  }
  assert {
    condition     = length([for id in module.network.made : id if startswith(id, "endpoint")]) == 8
    error_message = "The machines' agent has endpoints too."
  }
}

run "alarms_reach_people" {
  assert {
    condition     = module.observability.alarm_topic_key == null
    error_message = "CloudWatch may not use AWS's own key of SNS: with it no alarm would arrive."
  }
  assert {
    condition     = length(setsubtract(["dask-graphql-balancer-errors", "dask-graphql-recovery-silent", "dask-graphql-controller-silent", "dask-graphql-fleet-problem", "dask-graphql-dask-certificate", "dask-graphql-redis-lag-2", "dask-graphql-redis-credits-1"], output.alarm_names)) == 0
    error_message = "The balancer's own errors, silent nodes, the fleet, the certificate and a late replica have alarms."
  }
}

run "a_redis_in_cluster_mode" {
  command   = plan
  state_key = "clustered"
  variables {
    redis_shards = 3
  }
  assert {
    condition = module.redis[0].member_ids == tolist([
      "dask-graphql-0001-001", "dask-graphql-0001-002", "dask-graphql-0002-001", "dask-graphql-0002-002",
      "dask-graphql-0003-001", "dask-graphql-0003-002",
    ])
    error_message = "Three shards, each with a replica."
  }
  assert {
    condition     = contains(output.alarm_names, "dask-graphql-redis-memory-6")
    error_message = "Each member has its alarms."
  }
}

run "a_snapshot_changes_nothing_of_a_redis_that_exists" {
  command = plan
  variables {
    redis_restore_snapshot = "dask-graphql-final"
  }
  assert {
    condition     = module.redis[0].snapshots.first == null
    error_message = "It would be replaced, with all records."
  }
}
