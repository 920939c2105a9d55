# Composes the system. Who owns each number that moves:
#   workers        the controller, between min_workers and max_workers; in no state
#   api nodes      application autoscaling, between api_min and api_max
#   EC2 machines   ECS's managed scaling, between 0 and max_instances of ec2_capacity and of each pool
#   all others     this configuration

locals {
  tags = merge(var.tags, { system = var.name, managed_by = "terraform" })

  api_port       = 8000
  scheduler_port = 8786
  redis_port     = var.existing_redis == null ? 6379 : var.existing_redis.port
  results_prefix = "results"

  # One bucket rule counts from the write in whole days, a record from the end of its task: rounded up, and one more.
  results_days = var.result_ttl_seconds == 0 ? 0 : ceil(var.result_ttl_seconds / 86400) + 1
}

module "network" {
  source     = "./modules/network"
  name       = var.name
  cidr       = var.vpc_cidr
  zone_count = var.zone_count

  excluded_zone_ids = var.excluded_zone_ids
  internal          = var.internal

  egress         = var.egress
  nat_per_zone   = var.nat_per_zone
  existing       = var.existing_vpc
  ec2            = length(local.machines) > 0
  shell          = var.ecs_exec
  allowed_cidrs  = var.allowed_cidrs
  entry_ports    = local.https ? [80, 443] : [80]
  api_port       = local.api_port
  scheduler_port = local.scheduler_port
  redis_port     = local.redis_port
}

module "redis" {
  source               = "./modules/redis"
  count                = var.existing_redis == null ? 1 : 0
  name                 = var.name
  engine               = var.redis_engine
  node_type            = var.redis_node_type
  members              = var.redis_members
  shards               = var.redis_shards
  snapshot_days        = var.redis_snapshot_days
  restore_snapshot     = var.redis_restore_snapshot
  final_snapshot       = var.redis_final_snapshot
  port                 = local.redis_port
  subnet_ids           = module.network.private_subnet_ids
  security_group_id    = module.network.security_group_ids["redis"]
  secret_recovery_days = var.secret_recovery_days
  kms_key_arn          = var.kms_key_arn
}

module "results" {
  source          = "./modules/results"
  name            = var.name
  prefix          = local.results_prefix
  expiration_days = local.results_days
  force_destroy   = !var.protect_data
  kms_key_arn     = var.kms_key_arn
}

module "images" {
  source      = "./modules/images"
  name        = var.name
  kept        = var.images_kept
  kms_key_arn = var.kms_key_arn
}

locals {
  # Pools whose workers run on machines, with the name of what belongs to their machines.
  machines = merge(
    {
      for pool, its in var.pools : pool => {
        name           = "${var.name}-pool-${pool}"
        instance_types = its.instance_types
        max_instances  = coalesce(its.max_instances, its.max_workers)
        disk_gib       = its.disk_gib
        spot_share     = its.spot_share
        gpu            = its.gpu > 0
      } if its.capacity == "ec2"
    },
    {
      for pool, its in { default = var.ec2_capacity } : pool => {
        name                     = "${var.name}-ec2"
        instance_types           = its.instance_types
        max_instances            = its.max_instances
        disk_gib                 = 50
        spot_share               = var.spot_share
        gpu                      = false
      } if its != null
    },
  )
}

module "machines" {
  source            = "./modules/machines"
  for_each          = local.machines
  name              = each.value.name
  cluster_name      = var.name
  tags              = local.tags
  subnet_ids        = module.network.private_subnet_ids
  security_group_id = module.network.security_group_ids["instance"]
  architecture      = var.architecture
  gpu               = each.value.gpu
  instance_types    = each.value.instance_types
  max_instances     = each.value.max_instances
  disk_gib          = each.value.disk_gib
  spot_share        = each.value.spot_share
  role_path         = var.role_path
  boundary_arn      = var.permissions_boundary_arn
}

module "cluster" {
  source                    = "./modules/cluster"
  name                      = var.name
  vpc_id                    = module.network.vpc_id
  container_insights        = var.container_insights
  machine_providers         = [for machines in module.machines : machines.capacity_provider]
  default_capacity_provider = var.ec2_capacity == null ? "FARGATE" : module.machines["default"].capacity_provider
  kms_key_arn               = var.kms_key_arn
  secret_recovery_days      = var.secret_recovery_days
}

# What all nodes are given -----------------------------------------------------------------------------------------------

locals {
  redis_url_secret_arn = var.existing_redis == null ? module.redis[0].url_secret_arn : var.existing_redis.url_secret_arn

  # Of a user who may do what workers do, where there is one: a task can find the URL of its worker.
  worker_redis_url_secret_arn = try(coalesce(var.existing_redis.worker_url_secret_arn), local.redis_url_secret_arn)

  # The prefix DASK_GRAPHQL_ is added by modules/node.
  environment = merge(var.settings, {
    SCHEDULER          = "tls://${module.cluster.scheduler_host}:${local.scheduler_port}"
    BLOB_URL           = "s3://${module.results.bucket}/${local.results_prefix}"
    TASK_MODULES       = join(",", var.task_modules)
    RESULT_TTL_SECONDS = tostring(var.result_ttl_seconds)
    MIN_WORKERS        = tostring(var.min_workers)
    MAX_WORKERS        = tostring(var.max_workers)
    WORKER_THREADS     = tostring(var.worker_threads)
    # The metric filters of modules/observability read it.
    LOG_FORMAT = "json"
  }, var.cloudwatch_metrics ? { CLOUDWATCH_NAMESPACE = "${var.name}/nodes" } : {}, length(var.pools) == 0 ? {} : { POOLS = jsonencode(local.pools) })

  # The size of the default pool too: the smallest pool that has what a task type needs is looked for by size.
  pools = {
    for name, pool in merge(var.pools, {
      default = {
        cpu         = var.worker_cpu
        memory_mib  = var.worker_memory_mib
        min_workers = var.min_workers
        max_workers = var.max_workers
        spot_share  = var.spot_share
        capacity    = var.ec2_capacity == null ? "fargate" : "ec2"

        gpu            = 0
        price_per_hour = 0
      }
    }) :
    name => merge({
      cpu         = pool.cpu / 1024
      memory_gib  = pool.memory_mib / 1024
      min_workers = pool.min_workers
      max_workers = pool.max_workers
      spot_share  = pool.spot_share
      capacity    = pool.capacity == "ec2" ? "ec2" : var.architecture == "ARM64" ? "fargate_arm64" : "fargate"
      }, {
      for key, value in {
        gpu = pool.gpu
        # Not the module's output: its machines are no part of what the nodes are given, and come later.
        capacity_provider = try(local.machines[name].name, "")
        price_per_hour    = pool.price_per_hour
      } : key => value if pool.capacity == "ec2"
    })
  }

  # The compute plane (scheduler, workers, controller) has images of its own tag, so that an update of the api alone does
  # not replace it.
  compute_image_tag = coalesce(var.compute_image_tag, var.image_tag)

  # Workers join a new scheduler of the same release only: with the same image and the same settings.
  release = { RELEASE = "${local.compute_image_tag}-${substr(sha256(jsonencode(local.environment)), 0, 12)}" }

  common = {
    image_tag          = local.compute_image_tag
    architecture       = var.architecture
    log_retention_days = var.log_retention_days
    environment        = local.environment
    secrets = {
      REDIS_URL = local.redis_url_secret_arn
      # One key each of the secret's JSON object.
      TLS_CA   = "${module.cluster.dask_tls_secret_arn}:ca::"
      TLS_CERT = "${module.cluster.dask_tls_secret_arn}:cert::"
      TLS_KEY  = "${module.cluster.dask_tls_secret_arn}:key::"
    }
    secret_arns     = [local.redis_url_secret_arn, module.cluster.dask_tls_secret_arn]
    kms_key_arn     = var.kms_key_arn
    secret_key_arns = distinct(compact(concat([var.kms_key_arn], var.secret_key_arns)))
    data_key_arns   = compact([var.kms_key_arn])
    role_path       = var.role_path
    boundary_arn    = var.permissions_boundary_arn
    shell           = var.ecs_exec
  }

  worker_common = merge(local.common, {
    secrets     = merge(local.common.secrets, { REDIS_URL = local.worker_redis_url_secret_arn })
    secret_arns = [local.worker_redis_url_secret_arn, module.cluster.dask_tls_secret_arn]
    # The controller starts workers, and does not ask for ECS Exec.
    shell            = false
    task_environment = var.task_environment
    task_secrets     = var.task_secrets
  })
}

# The nodes --------------------------------------------------------------------------------------------------------------

locals {
  # Where clients reach the api: under their one name for it, or without a certificate under the load balancer's. Which
  # of several names, or which of a certificate's, is not known here: then nodes take it from each request.
  https         = var.certificate_arn != "" || var.domain != null
  allowed_hosts = length(var.allowed_hosts) == 0 && var.domain != null ? [var.domain.name] : var.allowed_hosts
  names         = [for host in local.allowed_hosts : lower(host) if !strcontains(host, "*")]
  public_url = (
    length(local.allowed_hosts) == 1 && length(local.names) == 1 ? "${local.https ? "https" : "http"}://${local.names[0]}" :
    length(local.allowed_hosts) == 0 && !local.https ? "http://${lower(module.api.dns_name)}" : ""
  )

  placement = {
    cluster_arn      = module.cluster.arn
    subnet_ids       = module.network.private_subnet_ids
    assign_public_ip = var.assign_public_ip
  }
}

module "api_node" {
  source     = "./modules/node"
  name       = var.name
  node       = "api"
  common     = merge(local.common, { image_tag = var.image_tag })
  repository = module.images.repositories["api"]
  cpu        = var.api_cpu
  memory_mib = var.api_memory_mib
  ports      = [local.api_port]
  environment = {
    HOST           = "0.0.0.0"
    PORT           = tostring(local.api_port)
    API_PROCESSES  = tostring(var.api_processes)
    AUTHENTICATION = var.authentication
    ALLOW_PUBLIC   = var.authentication == "none" ? "true" : ""
    # The load balancer, whose address is any of its subnets': it alone reaches the nodes, and says who its clients are.
    TRUSTED_PROXIES = join(",", module.network.entry_subnet_cidrs)
    # Longer than the load balancer keeps its connections, or it sends requests into some that close: 502.
    KEEP_ALIVE_SECONDS = tostring(var.idle_timeout_seconds + 30)
    # Its health checks name a node by its address, which the node always takes for its own.
    ALLOWED_HOSTS = join(",", local.allowed_hosts)
    PUBLIC_URL    = lookup(var.settings, "PUBLIC_URL", local.public_url)
  }
  stop_timeout_seconds = 60
  policies             = { results = data.aws_iam_policy_document.api.json }
}

module "api" {
  source              = "./modules/api"
  name                = var.name
  task_definition_arn = module.api_node.task_definition_arn
  placement           = merge(local.placement, { security_group_id = module.network.security_group_ids["api"] })
  cluster_name        = module.cluster.name
  shell               = var.ecs_exec

  port                      = local.api_port
  minimum                   = var.api_min
  maximum                   = var.api_max
  scale_requests_per_minute = var.api_requests_per_minute
  scale_connections         = var.api_connections

  vpc_id                          = module.network.vpc_id
  load_balancer_subnet_ids        = module.network.entry_subnet_ids
  load_balancer_security_group_id = module.network.security_group_ids["entry"]
  internal                        = var.internal
  certificate_arn                 = var.certificate_arn
  domain                          = var.domain
  access_log_days                 = var.access_log_days
  firewall                        = var.firewall
  log_retention_days              = var.log_retention_days
  kms_key_arn                     = var.kms_key_arn
  idle_timeout_seconds            = var.idle_timeout_seconds
  deletion_protection             = var.protect_data
}

module "scheduler_node" {
  source     = "./modules/node"
  name       = var.name
  node       = "scheduler"
  common     = local.common
  repository = module.images.repositories["scheduler"]
  cpu        = var.scheduler_cpu
  memory_mib = var.scheduler_memory_mib
  ports      = [local.scheduler_port]
  environment = merge(local.release, {
    SCHEDULER_LISTEN = "tls://0.0.0.0:${local.scheduler_port}"
  })
}

module "scheduler" {
  source              = "./modules/service"
  node                = "scheduler"
  task_definition_arn = module.scheduler_node.task_definition_arn
  placement           = merge(local.placement, { security_group_id = module.network.security_group_ids["scheduler"] })
  registry_arns       = [module.cluster.scheduler_registry_arn]
  shell               = var.ecs_exec
}

# A task definition without a service: the controller starts and stops workers, and they are in no state of Terraform's.
module "worker" {
  source                = "./modules/node"
  name                  = var.name
  node                  = "worker"
  common                = local.worker_common
  repository            = module.images.repositories["worker"]
  cpu                   = var.worker_cpu
  memory_mib            = var.worker_memory_mib
  ephemeral_storage_gib = var.worker_storage_gib
  launch_type           = var.ec2_capacity == null ? "FARGATE" : "EC2"
  pools                 = { for name, pool in var.pools : name => pool if pool.capacity == "ec2" }
  environment           = local.release
  # The most that Fargate allows, and what Spot leaves after its notice.
  stop_timeout_seconds = 120
  policies             = { results = data.aws_iam_policy_document.worker.json }
}

# What the tasks themselves need, such as their own data.
resource "aws_iam_role_policy_attachment" "tasks" {
  for_each   = toset(var.worker_policy_arns)
  role       = module.worker.task_role_name
  policy_arn = each.value
}

module "controller_node" {
  source     = "./modules/node"
  name       = var.name
  node       = "controller"
  common     = local.common
  repository = module.images.repositories["controller"]
  cpu        = var.controller_cpu
  memory_mib = var.controller_memory_mib
  environment = {
    FLEET               = "ecs"
    ECS_CLUSTER         = module.cluster.arn
    ECS_TASK_DEFINITION = module.worker.task_definition_arn

    ECS_POOL_TASK_DEFINITIONS = join(",", [for pool, its in module.worker.pool_task_definitions : "${pool}=${its.arn}"])

    ECS_SUBNETS          = join(",", module.network.private_subnet_ids)
    ECS_SECURITY_GROUPS  = module.network.security_group_ids["worker"]
    ECS_ASSIGN_PUBLIC_IP = tostring(var.assign_public_ip)
    ECS_SPOT_SHARE       = tostring(var.spot_share)
    MAX_COST_PER_HOUR    = tostring(var.max_cost_per_hour_usd)
    MAX_COST_PER_DAY     = tostring(var.max_cost_per_day_usd)
    ECS_CAPACITY         = var.ec2_capacity == null ? "fargate" : "ec2"
  }
  policies = { workers = data.aws_iam_policy_document.controller.json }
}

module "controller" {
  source              = "./modules/service"
  node                = "controller"
  task_definition_arn = module.controller_node.task_definition_arn
  placement           = merge(local.placement, { security_group_id = module.network.security_group_ids["controller"] })
  shell               = var.ecs_exec
}

module "observability" {
  source                  = "./modules/observability"
  name                    = var.name
  email                   = var.alarm_email
  cluster_name            = module.cluster.name
  cluster_arn             = module.cluster.arn
  log_retention_days      = var.log_retention_days
  kms_key_arn             = var.kms_key_arn
  load_balancer_dimension = module.api.load_balancer_dimension
  target_group_dimension  = module.api.target_group_dimension
  redis_member_ids        = flatten(module.redis[*].member_ids)
  redis_node_type         = var.redis_node_type
  runbook_url             = var.runbook_url
  queue_age_seconds       = var.alarm_queue_age_seconds
  redis_memory_percent    = 70
  monthly_budget_usd      = var.monthly_budget_usd
  log_groups = {
    api        = module.api_node.log_group
    scheduler  = module.scheduler_node.log_group
    controller = module.controller_node.log_group
    worker     = module.worker.log_group
  }
}
