# What the variables refuse, before anything is bought.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image_tag       = "v1"
  certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
}

run "a_tag_that_moves" {
  command = plan
  variables {
    image_tag = "latest"
  }
  expect_failures = [var.image_tag]
}

run "fewer_than_the_fewest" {
  command = plan
  variables {
    min_workers = 5
    max_workers = 4
  }
  expect_failures = [var.max_workers]
}

run "more_than_all_on_spot" {
  command = plan
  variables {
    spot_share = 1.1
  }
  expect_failures = [var.spot_share]
}

run "memory_that_fargate_does_not_have" {
  command = plan
  variables {
    worker_cpu        = 1024
    worker_memory_mib = 9216
  }
  expect_failures = [var.worker_memory_mib]
}

run "memory_between_the_steps" {
  command = plan
  variables {
    worker_cpu        = 2048
    worker_memory_mib = 4500
  }
  expect_failures = [var.worker_memory_mib]
}

run "the_largest_worker" {
  command = plan
  variables {
    worker_cpu        = 16384
    worker_memory_mib = 122880
  }
}

run "the_smallest_worker" {
  command = plan
  variables {
    worker_cpu        = 256
    worker_memory_mib = 512
  }
}

run "an_engine_of_another_make" {
  command = plan
  variables {
    redis_engine = "keydb"
  }
  expect_failures = [var.redis_engine]
}

run "a_name_that_ecs_refuses" {
  command = plan
  variables {
    name = "ecs-system"
  }
  expect_failures = [var.name]
}

run "one_zone" {
  command = plan
  variables {
    zone_count = 1
  }
  expect_failures = [var.zone_count]
}

run "an_address_that_is_no_range" {
  command = plan
  variables {
    allowed_cidrs = ["203.0.113.7"]
  }
  expect_failures = [var.allowed_cidrs]
}

run "public_addresses_in_private_subnets" {
  command = plan
  variables {
    assign_public_ip = true
  }
  expect_failures = [var.assign_public_ip]
}

run "a_vpc_with_one_subnet" {
  command = plan
  variables {
    existing_vpc = {
      vpc_id             = "vpc-0123456789abcdef0"
      private_subnet_ids = ["subnet-0123456789abcdef0"]
      public_subnet_ids  = ["subnet-0123456789abcdef2", "subnet-0123456789abcdef3"]
    }
  }
  expect_failures = [var.existing_vpc]
}

run "a_setting_with_its_prefix" {
  command = plan
  variables {
    settings = { DASK_GRAPHQL_QUEUE_LIMIT = "10" }
  }
  expect_failures = [var.settings]
}

run "days_that_secrets_manager_does_not_have" {
  command = plan
  variables {
    secret_recovery_days = 3
  }
  expect_failures = [var.secret_recovery_days]
}

run "logs_for_eleven_days" {
  command = plan
  variables {
    log_retention_days = 11
  }
  expect_failures = [var.log_retention_days]
}
