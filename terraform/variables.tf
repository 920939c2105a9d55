# General ----------------------------------------------------------------------------------------------------------------

variable "name" {
  type        = string
  description = "Name of the system and prefix of all its resources; two systems in one account need different names."
  default     = "dask-graphql"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name)) && !can(regex("--|^(aws|ecs|fargate)", var.name))
    error_message = "name: 3 to 24 lower-case letters, digits and single hyphens, beginning with a letter, not with aws, ecs or fargate."
  }
}

variable "region" {
  type        = string
  description = "AWS region."
  default     = "us-east-1"
  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region: such as eu-central-1."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags of all resources, in addition to `system` and `managed_by`."
  default     = {}
}

variable "protect_data" {
  type        = bool
  description = "Refuses to destroy a bucket that contains results and a load balancer that is in use. Set it to false, and apply, before a destroy."
  default     = false
}

variable "secret_recovery_days" {
  type        = number
  description = "Days in which a deleted secret can be restored, 7 to 30; 0 deletes at once, so that the name can be reused."
  default     = 0
  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "secret_recovery_days: 0, or 7 to 30 days."
  }
}

variable "kms_key_arn" {
  type        = string
  description = "KMS key of your own for Redis, results, images, secrets and logs; empty for AWS's keys. Its policy must let CloudWatch logs use it. Set it before the first deployment: a change of it replaces Redis and the repositories."
  default     = ""
  validation {
    condition     = var.kms_key_arn == "" || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn: the ARN of a key (not of an alias), or nothing."
  }
}

variable "role_path" {
  type        = string
  description = "Path of all IAM roles."
  default     = "/"
  validation {
    condition     = can(regex("^/([A-Za-z0-9._@=+,-]+/)*$", var.role_path))
    error_message = "role_path: begins and ends with a slash, such as /services/."
  }
}

variable "permissions_boundary_arn" {
  type        = string
  description = "IAM policy that bounds all roles, where your organization demands one; empty for none."
  default     = ""
  validation {
    condition     = var.permissions_boundary_arn == "" || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn: the ARN of an IAM policy, or nothing."
  }
}

variable "ecs_exec" {
  type        = bool
  description = "Lets `aws ecs execute-command` open a shell in api nodes, scheduler and controller (not in workers). Their root file systems are then writable."
  default     = false
}

# Tasks and workers ------------------------------------------------------------------------------------------------------

variable "image_tag" {
  type        = string
  description = "Tag of the images of all nodes. A new tag is a rolling update; an older one is a rollback."
  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "image_tag: 1 to 128 letters, digits, dots, hyphens and underscores, and not `latest`, as tags are immutable."
  }
}

variable "compute_image_tag" {
  type        = string
  description = "Tag of the images of scheduler, workers and controller; empty: `image_tag`. `deploy.py deploy --api-only` keeps it."
  default     = ""
  validation {
    condition     = var.compute_image_tag == "" || can(regex("^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$", var.compute_image_tag)) && var.compute_image_tag != "latest"
    error_message = "compute_image_tag: empty, or as image_tag."
  }
}

variable "task_modules" {
  type        = list(string)
  description = "Importable modules with @task functions; the images must contain them."
  default     = []
  validation {
    condition     = alltrue([for module in var.task_modules : can(regex("^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$", module))])
    error_message = "task_modules: names such as [\"my_tasks\", \"my_package.tasks\"]."
  }
}

variable "settings" {
  type        = map(string)
  description = "More settings for all nodes, without the prefix DASK_GRAPHQL_ (docs/settings.md), such as { OIDC_ISSUER = \"https://...\" }, and OpenTelemetry's OTEL_*. Not for secrets. Settings that this configuration sets itself win."
  default     = {}
  validation {
    condition     = alltrue([for key in keys(var.settings) : can(regex("^[A-Z][A-Z0-9_]*$", key)) && !startswith(key, "DASK_GRAPHQL_")])
    error_message = "settings: names in capitals, without DASK_GRAPHQL_."
  }
}

variable "task_environment" {
  type        = map(string)
  description = "Environment variables of your tasks, which workers alone get, such as { HF_HOME = \"/tmp/hf\" }. Not for secrets."
  default     = {}
  validation {
    condition     = alltrue([for name in keys(var.task_environment) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) && !startswith(name, "DASK_GRAPHQL_")])
    error_message = "task_environment: names of variables that do not begin with DASK_GRAPHQL_; those are for `settings`."
  }
}

variable "task_secrets" {
  type        = map(string)
  description = "Environment variables of your tasks whose values are secrets: name to the ARN of a secret (with `:key::` for one key of a JSON object) or of an SSM parameter. Workers alone may read them."
  default     = {}
  validation {
    condition = (
      alltrue([for name in keys(var.task_secrets) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) && !startswith(name, "DASK_GRAPHQL_") && !contains(keys(var.task_environment), name)])
      && alltrue([for arn in values(var.task_secrets) : can(regex("^arn:aws[a-z-]*:(secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+|ssm:[a-z0-9-]+:[0-9]{12}:parameter/.+)$", arn))])
    )
    error_message = "task_secrets: such as { DATABASE_URL = \"arn:aws:secretsmanager:...:secret:my-database-AbCdEf:url::\" }, with no name of task_environment."
  }
}

variable "secret_key_arns" {
  type        = list(string)
  description = "KMS keys of the secrets that you name in `task_secrets` and `existing_redis`, where they have keys of their own."
  default     = []
  validation {
    condition     = alltrue([for arn in var.secret_key_arns : can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", arn))])
    error_message = "secret_key_arns: ARNs of keys, not of aliases."
  }
}

variable "result_ttl_seconds" {
  type        = number
  description = "Seconds that a result is kept; 0 for ever. The bucket's rule is the same time in days, rounded up, plus one."
  default     = 86400
  validation {
    condition     = var.result_ttl_seconds >= 0 && floor(var.result_ttl_seconds) == var.result_ttl_seconds
    error_message = "result_ttl_seconds: a whole number of seconds, 0 or more."
  }
}

variable "min_workers" {
  type        = number
  description = "Minimum number of workers; with 0, idling costs nothing and the first task waits a minute."
  default     = 1
  validation {
    condition     = var.min_workers >= 0 && floor(var.min_workers) == var.min_workers
    error_message = "min_workers: a whole number, 0 or more."
  }
}

variable "max_workers" {
  type        = number
  description = "Maximum number of workers, which also bounds their cost."
  default     = 100
  validation {
    condition     = var.max_workers >= 1 && var.max_workers <= 5000 && floor(var.max_workers) == var.max_workers
    error_message = "max_workers: a whole number, 1 to 5000."
  }
  validation {
    condition     = var.max_workers >= var.min_workers
    error_message = "max_workers: at least min_workers."
  }
}

variable "spot_share" {
  type        = number
  description = "Share of the workers that run on Spot, 0 to 1. Spot costs up to 70 % less and is reclaimed with two minutes' notice."
  default     = 0.8
  validation {
    condition     = var.spot_share >= 0 && var.spot_share <= 1
    error_message = "spot_share: a number from 0 to 1."
  }
}

variable "max_cost_per_hour_usd" {
  type        = number
  description = "What all workers may cost per hour at most, in US dollars by list prices; wins over min_workers. Tasks that run are not interrupted. 0 for no ceiling; a pool on machines needs its price_per_hour."
  default     = 0
  validation {
    condition     = var.max_cost_per_hour_usd >= 0
    error_message = "max_cost_per_hour_usd: 0 or more."
  }
}

variable "max_cost_per_day_usd" {
  type        = number
  description = "The same for a day, from midnight UTC: once it is spent, no worker is started and idle ones are stopped."
  default     = 0
  validation {
    condition     = var.max_cost_per_day_usd >= 0
    error_message = "max_cost_per_day_usd: 0 or more."
  }
}

variable "worker_threads" {
  type        = number
  description = "Tasks that one worker runs at a time; more than 1 only for code that releases the GIL."
  default     = 1
  validation {
    condition     = var.worker_threads >= 1 && var.worker_threads <= 256 && floor(var.worker_threads) == var.worker_threads
    error_message = "worker_threads: a whole number, 1 to 256."
  }
}

variable "worker_cpu" {
  type        = number
  description = "CPU units of one worker: 256, 512, 1024, 2048, 4096, 8192 or 16384 (1024 is one vCPU)."
  default     = 1024
  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.worker_cpu)
    error_message = "worker_cpu: 256, 512, 1024, 2048, 4096, 8192 or 16384."
  }
}

variable "worker_memory_mib" {
  type        = number
  description = "Memory of one worker in MiB. Fargate allows 2 to 8 GiB per vCPU, and 0.5 to 2 GiB with a quarter of one."
  default     = 2048
  validation {
    condition = (
      var.worker_cpu == 256 ? contains([512, 1024, 2048], var.worker_memory_mib) :
      var.worker_memory_mib >= (var.worker_cpu == 512 ? 1024 : 2 * var.worker_cpu) && var.worker_memory_mib <= (var.worker_cpu == 16384 ? 122880 : min(8 * var.worker_cpu, 61440)) && var.worker_memory_mib % (var.worker_cpu >= 16384 ? 8192 : var.worker_cpu >= 8192 ? 4096 : 1024) == 0
    )
    error_message = "worker_memory_mib: a size that Fargate offers with this worker_cpu; with 1024, 2048 to 8192 in steps of 1024."
  }
}

variable "pools" {
  type = map(object({
    cpu         = number
    memory_mib  = number
    min_workers = optional(number, 0)
    max_workers = optional(number, 1)
    spot_share  = optional(number, 0)
    capacity    = optional(string, "fargate")

    gpu            = optional(number, 0)
    instance_types = optional(list(string), [])
    max_instances  = optional(number)
    disk_gib       = optional(number, 50)
    price_per_hour = optional(number, 0)
  }))
  description = "Further pools of workers by name, such as { big = { cpu = 4096, memory_mib = 30720, max_workers = 10 } }, for task types with `pool=` or `needs=`: of each the size of a worker, as worker_cpu and worker_memory_mib, and what min_workers, max_workers and spot_share are for the pool `default`. `capacity` is `fargate`, or `ec2` for machines of the pool's own (docs/aws.md, GPU pools): their instance_types, max_instances (max_workers), disk_gib (50), with `gpu` GPUs for each worker, and the price of a worker per hour in US dollars (0: unknown). Each is scaled by itself; what all may cost is bounded by max_cost_per_hour_usd."
  default     = {}
  validation {
    condition     = length(var.pools) <= 19 && alltrue([for name in keys(var.pools) : can(regex("^[a-z][a-z0-9_]{0,29}$", name)) && name != "default"])
    error_message = "pools: at most 19, with names of a-z, 0-9 and _ that begin with a letter, up to 30 characters; `default` is the pool of the other variables."
  }
  validation {
    condition     = alltrue([for pool in values(var.pools) : contains(["fargate", "fargate_arm64", "ec2"], pool.capacity)])
    error_message = "pools: a capacity of fargate, fargate_arm64 or ec2. managed_instances needs version 6.15 or later of the AWS provider, which this configuration does not support yet."
  }
  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.capacity != "fargate_arm64" || var.architecture == "ARM64"])
    error_message = "pools: fargate_arm64 needs architecture = \"ARM64\", for which the images are built; with it, fargate means the same."
  }
  validation {
    condition = alltrue([
      for pool in values(var.pools) :
      pool.capacity == "ec2" ? (
        length(pool.instance_types) > 0 && alltrue([for type in pool.instance_types : can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", type))])
        && pool.cpu >= 128 && pool.memory_mib >= 512 && pool.disk_gib >= 30 && pool.price_per_hour >= 0
        && pool.gpu >= 0 && floor(pool.gpu) == pool.gpu
        && try(pool.max_instances >= 1 && floor(pool.max_instances) == pool.max_instances, pool.max_instances == null)
      ) : length(pool.instance_types) == 0 && pool.gpu == 0 && pool.max_instances == null && pool.price_per_hour == 0
    ])
    error_message = "pools: with the capacity ec2 instance_types such as [\"g5.xlarge\"], cpu of 128 or more, memory_mib of 512 or more, disk_gib of 30 or more, and whole numbers of gpu and max_instances; without it none of instance_types, gpu, max_instances and price_per_hour."
  }
  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.gpu == 0 || var.architecture == "X86_64"])
    error_message = "pools: gpu needs architecture = \"X86_64\", as AWS publishes no image of ECS for ARM64 with drivers of GPUs."
  }
  validation {
    condition     = !var.assign_public_ip || alltrue([for pool in values(var.pools) : pool.capacity != "ec2"])
    error_message = "pools: the capacity ec2 needs subnets with NAT or endpoints, and assign_public_ip = false: ECS gives a task on a machine no public address."
  }
  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.capacity != "ec2" || pool.price_per_hour > 0 || var.max_cost_per_hour_usd + var.max_cost_per_day_usd == 0])
    error_message = "pools: with a ceiling in dollars, price_per_hour of each pool with the capacity ec2."
  }
  validation {
    condition = alltrue([
      for pool in values(var.pools) : pool.capacity == "ec2" ||
      contains([256, 512, 1024, 2048, 4096, 8192, 16384], pool.cpu) && (
        pool.cpu == 256 ? contains([512, 1024, 2048], pool.memory_mib) :
        pool.memory_mib >= (pool.cpu == 512 ? 1024 : 2 * pool.cpu) && pool.memory_mib <= (pool.cpu == 16384 ? 122880 : min(8 * pool.cpu, 61440, pool.cpu == 4096 ? 30720 : 61440)) && pool.memory_mib % (pool.cpu >= 16384 ? 8192 : pool.cpu >= 8192 ? 4096 : 1024) == 0
      )
    ])
    error_message = "pools: cpu of 256, 512, 1024, 2048, 4096, 8192 or 16384, and a memory_mib that Fargate offers with it; with 4096, 8192 to 30720 in steps of 1024."
  }
  validation {
    condition = alltrue([
      for pool in values(var.pools) :
      pool.min_workers >= 0 && pool.max_workers >= max(1, pool.min_workers) && pool.max_workers <= 5000 && floor(pool.min_workers) == pool.min_workers && floor(pool.max_workers) == pool.max_workers && pool.spot_share >= 0 && pool.spot_share <= 1
    ])
    error_message = "pools: min_workers and max_workers as whole numbers, 0 <= min_workers <= max_workers <= 5000 with max_workers of 1 or more, and spot_share from 0 to 1."
  }
  validation {
    condition     = var.ec2_capacity == null || alltrue([for pool in values(var.pools) : pool.capacity == "ec2"])
    error_message = "pools on Fargate need ec2_capacity = null: beside it, pools have the capacity ec2."
  }
}

variable "worker_storage_gib" {
  type        = number
  description = "Disk of one worker in GiB, 20 to 200; the first 20 are free. Dask spills there."
  default     = 20
  validation {
    condition     = var.worker_storage_gib >= 20 && var.worker_storage_gib <= 200
    error_message = "worker_storage_gib: 20 to 200 GiB."
  }
}

variable "worker_policy_arns" {
  type        = list(string)
  description = "IAM policies that your tasks need, such as for reading their own data."
  default     = []
}

variable "architecture" {
  type        = string
  description = "`X86_64` or `ARM64` (a fifth cheaper), for all nodes; the images must be built for it."
  default     = "X86_64"
  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "architecture: X86_64 or ARM64."
  }
}

variable "ec2_capacity" {
  type = object({
    instance_types = list(string)
    max_instances  = number
  })
  description = "Runs workers on EC2 machines instead of Fargate: the instance types, of one architecture, and the maximum number. Each worker takes a network interface of its machine."
  default     = null
  validation {
    condition = var.ec2_capacity == null ? true : (
      length(var.ec2_capacity.instance_types) > 0 && var.ec2_capacity.max_instances >= 1
    )
    error_message = "ec2_capacity: at least one type and one machine, such as { instance_types = [\"c7i.2xlarge\"], max_instances = 10 }."
  }
  validation {
    condition     = var.ec2_capacity == null || var.worker_storage_gib == 20
    error_message = "worker_storage_gib applies to Fargate only; workers on EC2 share the disk of their machine."
  }
}

# The api ----------------------------------------------------------------------------------------------------------------

variable "authentication" {
  type        = string
  description = "`required`: callers need an API key or a JWT. `none`: anyone who reaches the load balancer may submit."
  default     = "required"
  validation {
    condition     = contains(["required", "none"], var.authentication)
    error_message = "authentication: required or none."
  }
}

variable "domain" {
  type = object({
    name    = string
    zone_id = string
  })
  description = "Name under which clients reach the api, and the id of its hosted zone in Route 53: HTTPS with a certificate that is proven and renewed by itself, and the name's record."
  default     = null
  validation {
    condition     = var.domain == null ? true : can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain.name)) && can(regex("^[A-Z0-9]{8,32}$", var.domain.zone_id))
    error_message = "domain: a name in lower-case letters and the id of its zone, such as { name = \"api.example.com\", zone_id = \"Z0123456789ABCDEFGHIJ\" }."
  }
}

variable "certificate_arn" {
  type        = string
  description = "A certificate (ACM) of your own for HTTPS, in the system's region; with `domain`, it is used instead of a new one."
  default     = ""
  validation {
    condition     = var.certificate_arn == "" || can(regex("^arn:aws[a-z-]*:(acm|iam):[a-z0-9-]*:[0-9]{12}:(certificate|server-certificate)/.+$", var.certificate_arn))
    error_message = "certificate_arn: the ARN of a certificate, or nothing."
  }
  validation {
    condition     = contains(["", var.region], try(split(":", var.certificate_arn)[3], ""))
    error_message = "certificate_arn: the certificate is in another region than the system; a load balancer takes only those of its own."
  }
}

variable "plain_http" {
  type        = bool
  description = "Accepts a system without `domain` and `certificate_arn`, where API keys travel in clear text: for a first try from a known address."
  default     = false
  validation {
    condition     = var.plain_http || var.domain != null || var.certificate_arn != ""
    error_message = "plain_http: the api has neither domain nor certificate_arn. Give one of them for HTTPS, or set plain_http = true to let API keys travel in clear text."
  }
}

variable "allowed_hosts" {
  type        = list(string)
  description = "Names under which clients reach the api, such as `api.example.com`, against DNS rebinding; empty for all. The load balancer's own name is one of them only if it is listed."
  default     = []
  validation {
    condition     = alltrue([for host in var.allowed_hosts : can(regex("^(\\*|(\\*\\.)?[^\\s/?#@:*]+)$", host))])
    error_message = "allowed_hosts: names such as api.example.com or *.example.com, without a port, or *."
  }
}

variable "allowed_cidrs" {
  type        = list(string)
  description = "Address ranges (IPv4) from which clients may connect."
  default     = ["0.0.0.0/0"]
  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for range in var.allowed_cidrs : can(cidrnetmask(range))])
    error_message = "allowed_cidrs: at least one range such as 203.0.113.0/24."
  }
}

variable "internal" {
  type        = bool
  description = "Gives the load balancer private addresses only, for clients in the VPC or behind a VPN."
  default     = false
}

variable "idle_timeout_seconds" {
  type        = number
  description = "Seconds that a connection may be idle before the load balancer closes it, 60 to 4000."
  default     = 600
  validation {
    condition     = var.idle_timeout_seconds >= 60 && var.idle_timeout_seconds <= 4000
    error_message = "idle_timeout_seconds: 60 to 4000."
  }
}

variable "access_log_days" {
  type        = number
  description = "Days that the load balancer's access logs are kept, in a bucket of their own; 0 for none. They hold clients' addresses."
  default     = 0
  validation {
    condition     = var.access_log_days >= 0 && floor(var.access_log_days) == var.access_log_days
    error_message = "access_log_days: a whole number of days, 0 or more."
  }
}

variable "firewall" {
  type = object({
    requests_per_minute = optional(number, 6000)
  })
  description = "A web firewall (AWS WAF) with AWS's rules against known attacks, and a limit of requests a minute for one address; `{}` for the defaults, null for none. About 9 dollars a month, and 0.60 a million requests."
  default     = null
  validation {
    condition     = var.firewall == null ? true : var.firewall.requests_per_minute >= 10 && var.firewall.requests_per_minute <= 2000000000
    error_message = "firewall: requests_per_minute from 10."
  }
}

variable "api_min" {
  type        = number
  description = "Minimum number of api nodes; two survive the loss of a zone."
  default     = 2
  validation {
    condition     = var.api_min >= 1 && floor(var.api_min) == var.api_min
    error_message = "api_min: a whole number, 1 or more."
  }
}

variable "api_max" {
  type        = number
  description = "Maximum number of api nodes."
  default     = 10
  validation {
    condition     = var.api_max >= var.api_min && floor(var.api_max) == var.api_max
    error_message = "api_max: a whole number, at least api_min."
  }
}

variable "api_requests_per_minute" {
  type        = number
  description = "Requests a minute per api node, above which another is started."
  default     = 6000
  validation {
    condition     = var.api_requests_per_minute > 0
    error_message = "api_requests_per_minute: more than 0."
  }
}

variable "api_connections" {
  type        = number
  description = "Open connections per api node, above which another is started. The load balancer counts both sides of a socket, so 4000 are 2000 sockets."
  default     = 4000
  validation {
    condition     = var.api_connections > 0
    error_message = "api_connections: more than 0."
  }
}

variable "api_cpu" {
  type        = number
  description = "CPU units of one api node."
  default     = 256
  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.api_cpu)
    error_message = "api_cpu: 256, 512, 1024, 2048 or 4096."
  }
}

variable "api_memory_mib" {
  type        = number
  description = "Memory of one api node in MiB."
  default     = 1024
  validation {
    condition     = var.api_memory_mib >= 512 && var.api_memory_mib <= 30720
    error_message = "api_memory_mib: 512 to 30720, in a size that Fargate offers with api_cpu."
  }
}

variable "api_processes" {
  type        = number
  description = "Processes of one api node, which share its port: at most one for each 1024 of `api_cpu` pays. Each takes about 110 MB."
  default     = 1
  validation {
    condition     = contains(range(1, 17), var.api_processes)
    error_message = "api_processes: a whole number from 1 to 16."
  }
}

variable "scheduler_cpu" {
  type        = number
  description = "CPU units of the scheduler."
  default     = 512
  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.scheduler_cpu)
    error_message = "scheduler_cpu: 256, 512, 1024, 2048 or 4096."
  }
}

variable "scheduler_memory_mib" {
  type        = number
  description = "Memory of the scheduler in MiB. It holds every running graph."
  default     = 1024
  validation {
    condition     = var.scheduler_memory_mib >= 512 && var.scheduler_memory_mib <= 30720
    error_message = "scheduler_memory_mib: 512 to 30720, in a size that Fargate offers with scheduler_cpu."
  }
}

variable "controller_cpu" {
  type        = number
  description = "CPU units of the controller."
  default     = 256
  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.controller_cpu)
    error_message = "controller_cpu: 256, 512, 1024, 2048 or 4096."
  }
}

variable "controller_memory_mib" {
  type        = number
  description = "Memory of the controller in MiB."
  default     = 512
  validation {
    condition     = var.controller_memory_mib >= 512 && var.controller_memory_mib <= 30720
    error_message = "controller_memory_mib: 512 to 30720, in a size that Fargate offers with controller_cpu."
  }
}

variable "images_kept" {
  type        = number
  description = "Number of images that each repository keeps for rollbacks."
  default     = 20
  validation {
    condition     = var.images_kept >= 2
    error_message = "images_kept: 2 or more, so that a rollback is possible."
  }
}

# The network ------------------------------------------------------------------------------------------------------------

variable "vpc_cidr" {
  type        = string
  description = "Address range of the VPC, a /16 to /20."
  default     = "10.20.0.0/16"
  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && can(regex("/(16|17|18|19|20)$", var.vpc_cidr))
    error_message = "vpc_cidr: an IPv4 range from /16 to /20, such as 10.20.0.0/16."
  }
}

variable "zone_count" {
  type        = number
  description = "Availability zones, 2 or 3."
  default     = 2
  validation {
    condition     = contains([2, 3], var.zone_count)
    error_message = "zone_count: 2 or 3."
  }
}

variable "excluded_zone_ids" {
  type        = list(string)
  description = "Availability zones, by their ids, that the VPC leaves out: some are without Fargate, such as `apne1-az3` of ap-northeast-1 and `usw1-az2` of us-west-1."
  default     = []
  validation {
    condition     = alltrue([for zone in var.excluded_zone_ids : can(regex("^[a-z0-9]+-az[0-9]+$", zone))])
    error_message = "excluded_zone_ids: ids such as apne1-az3, which are the same in every account; not names such as ap-northeast-1a."
  }
}

variable "egress" {
  type        = string
  description = "How nodes in private subnets reach AWS: `nat`, which also reaches the internet, or `endpoints`, which reaches only AWS."
  default     = "nat"
  validation {
    condition     = contains(["nat", "endpoints"], var.egress)
    error_message = "egress: nat or endpoints."
  }
}

variable "nat_per_zone" {
  type        = bool
  description = "A NAT gateway in each zone, so that the loss of one zone does not cut off the others."
  default     = false
}

variable "existing_vpc" {
  type = object({
    vpc_id             = string
    private_subnet_ids = list(string)
    public_subnet_ids  = list(string)
  })
  description = "Your own VPC, with DNS host names enabled, and subnets in at least two zones that reach ECR, S3, logs and Secrets Manager. The load balancer uses the public ones."
  default     = null
  validation {
    condition = var.existing_vpc == null ? true : (
      can(regex("^vpc-[0-9a-f]+$", var.existing_vpc.vpc_id))
      && alltrue([for subnet in concat(var.existing_vpc.private_subnet_ids, var.existing_vpc.public_subnet_ids) : can(regex("^subnet-[0-9a-f]+$", subnet))])
      && length(var.existing_vpc.private_subnet_ids) >= 2 && (var.internal || length(var.existing_vpc.public_subnet_ids) >= 2)
    )
    error_message = "existing_vpc: a vpc-... and at least two subnet-... of each kind, in two zones."
  }
}

variable "assign_public_ip" {
  type        = bool
  description = "Gives nodes public addresses, for an existing VPC whose subnets have neither NAT nor endpoints."
  default     = false
  validation {
    condition     = !var.assign_public_ip || var.existing_vpc != null
    error_message = "assign_public_ip: only with existing_vpc; otherwise nodes are in private subnets, where a public address has no effect."
  }
}

# Redis ------------------------------------------------------------------------------------------------------------------

variable "redis_engine" {
  type        = string
  description = "`valkey` (a fifth cheaper) or `redis`."
  default     = "valkey"
  validation {
    condition     = contains(["valkey", "redis"], var.redis_engine)
    error_message = "redis_engine: valkey or redis."
  }
}

variable "redis_node_type" {
  type        = string
  description = "Size of each member of Redis."
  default     = "cache.t4g.small"
  validation {
    condition     = can(regex("^cache\\.[a-z0-9]+\\.[a-z0-9]+$", var.redis_node_type))
    error_message = "redis_node_type: such as cache.t4g.small or cache.r7g.large."
  }
}

variable "redis_members" {
  type        = number
  description = "Number of Redis members, 1 to 6: a primary and replicas in other zones. With 1, losing it loses every record."
  default     = 2
  validation {
    condition     = var.redis_members >= 1 && var.redis_members <= 6 && floor(var.redis_members) == var.redis_members
    error_message = "redis_members: a whole number, 1 to 6."
  }
}

variable "redis_shards" {
  type        = number
  description = "Shards of Redis in cluster mode, with `redis_members` members each; 0: one primary, no cluster mode. Decide before the first deployment: AWS replaces a group to change between the two."
  default     = 0
  validation {
    condition     = var.redis_shards >= 0 && var.redis_shards <= 16 && floor(var.redis_shards) == var.redis_shards
    error_message = "redis_shards: a whole number, 0 to 16. There are sixteen shards of tasks; more would serve none."
  }
  validation {
    condition     = var.redis_shards == 0 || var.redis_members >= 2
    error_message = "redis_shards: cluster mode needs a replica of each shard: redis_members of 2 or more."
  }
}

variable "redis_snapshot_days" {
  type        = number
  description = "Days that the daily snapshot of Redis is kept, 0 (none) to 35."
  default     = 1
  validation {
    condition     = var.redis_snapshot_days >= 0 && var.redis_snapshot_days <= 35
    error_message = "redis_snapshot_days: 0 to 35."
  }
}

variable "redis_final_snapshot" {
  type        = bool
  description = "Takes the snapshot `<name>-final` of ElastiCache before it is destroyed. An older one of this name stops the destroy: delete it first, or set this to false, and apply."
  default     = true
}

variable "redis_restore_snapshot" {
  type        = string
  description = "Name of a snapshot that a new ElastiCache begins with; empty for an empty one. It changes nothing of one that exists."
  default     = ""
  validation {
    condition     = can(regex("^([a-zA-Z][a-zA-Z0-9-]*|automatic\\.[a-zA-Z0-9.-]+)?$", var.redis_restore_snapshot))
    error_message = "redis_restore_snapshot: the name of a snapshot, such as dask-graphql-final, or nothing."
  }
}

variable "existing_redis" {
  type = object({
    url_secret_arn        = string
    port                  = number
    worker_url_secret_arn = optional(string)
  })
  description = "Your own Redis, in cluster mode or not: the secret that contains its URL (rediss://...), its port, and the secret with the URL of a user for workers (`dask-graphql worker-acl`; empty: the same URL). It must accept the output `redis_security_group_id`."
  default     = null
  validation {
    condition = var.existing_redis == null ? true : alltrue([
      for arn in compact([var.existing_redis.url_secret_arn, var.existing_redis.worker_url_secret_arn]) :
      can(regex("^arn:aws[a-z-]*:secretsmanager:", arn))
    ])
    error_message = "existing_redis: the ARNs of secrets in Secrets Manager, and a port."
  }
}

# Watching and paying ----------------------------------------------------------------------------------------------------

variable "alarm_email" {
  type        = string
  description = "Address that receives alarms and budget notices; empty for none. AWS asks it for confirmation."
  default     = ""
  validation {
    condition     = var.alarm_email == "" || can(regex("^[^@\\s]+@[^@\\s]+$", var.alarm_email))
    error_message = "alarm_email: an e-mail address, or nothing."
  }
}

variable "runbook_url" {
  type        = string
  description = "Page that each alarm links to, at `#alarm-<name>`: docs/aws.md of your own copy."
  default     = "docs/aws.md"
}

variable "monthly_budget_usd" {
  type        = number
  description = "Budget in US dollars a month. alarm_email is notified when 80 % is spent, or all of it is forecast; 0 for no budget."
  default     = 200
  validation {
    condition     = var.monthly_budget_usd >= 0
    error_message = "monthly_budget_usd: 0 or more."
  }
}

variable "alarm_queue_age_seconds" {
  type        = number
  description = "Seconds that the oldest queued task may wait before an alarm."
  default     = 600
  validation {
    condition     = var.alarm_queue_age_seconds > 0
    error_message = "alarm_queue_age_seconds: more than 0."
  }
}

variable "log_retention_days" {
  type        = number
  description = "Days that logs are kept."
  default     = 30
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days: a period that CloudWatch offers: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ..."
  }
}

variable "cloudwatch_metrics" {
  type        = bool
  description = "Whether nodes publish their metrics to CloudWatch, by role, in the namespace NAME/nodes: submissions, attempts, waits, deliveries, Redis, the fleet. About 60 metrics at $0.30 a month each, however many nodes there are."
  default     = false
}

variable "container_insights" {
  type        = string
  description = "ECS Container Insights: `enabled` for metrics of the cluster and its services, `enhanced` for those of every task and worker too, charged per metric; or `disabled`."
  default     = "disabled"
  validation {
    condition     = contains(["disabled", "enabled", "enhanced"], var.container_insights)
    error_message = "container_insights: disabled, enabled or enhanced."
  }
}
