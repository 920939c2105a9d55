# What every node has: a task definition, its log group, and two roles.

data "aws_region" "current" {}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/${var.node}"
  retention_in_days = var.common.log_retention_days
  kms_key_id        = var.common.kms_key_arn == "" ? null : var.common.kms_key_arn
}

resource "aws_ecs_task_definition" "this" {
  family                   = "${var.name}-${var.node}"
  requires_compatibilities = [var.launch_type]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory_mib
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.common.architecture
  }

  dynamic "ephemeral_storage" {
    # Fargate has 20 GiB without saying so, and takes 21 or more.
    for_each = var.ephemeral_storage_gib > 20 ? [var.ephemeral_storage_gib] : []
    content {
      size_in_gib = ephemeral_storage.value
    }
  }

  # The image's folders that a node writes to; the rest of the image cannot be changed. Their owners and modes are those
  # that the Dockerfile gives its volumes.
  dynamic "volume" {
    for_each = local.writable
    content {
      name = volume.key
    }
  }

  container_definitions = jsonencode([local.container])

  # Old revisions stay registered: a roll back needs them, and a controller that is being replaced still starts workers
  # of the one that it was given. They cost nothing; `scripts/aws/deploy.py destroy` takes them away.
  skip_destroy = true
  lifecycle {
    create_before_destroy = true
  }
}

# The node on the machines of each pool. On machines, the size of a task may be any; a container has GPUs or none.
resource "aws_ecs_task_definition" "pool" {
  for_each                 = var.pools
  family                   = "${var.name}-${var.node}-${each.key}"
  requires_compatibilities = ["EC2"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory_mib
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.common.architecture
  }

  dynamic "volume" {
    for_each = local.writable
    content {
      name = volume.key
    }
  }

  container_definitions = jsonencode([merge(local.container, {
    for name, value in { resourceRequirements = [{ type = "GPU", value = tostring(each.value.gpu) }] } : name => value if each.value.gpu > 0
  })])

  skip_destroy = true
  lifecycle {
    create_before_destroy = true
  }
}

locals {
  # Its key order and its empty lists are those in which ECS answers: a plan after an apply must be empty.
  container = {
    name         = var.node
    image        = "${var.repository.url}:${var.common.image_tag}"
    essential    = true
    entryPoint   = ["dask-graphql"]
    command      = [var.node]
    user         = "10001:10001"
    stopTimeout  = var.stop_timeout_seconds
    environment  = [for name in sort(keys(local.variables)) : { name = name, value = local.variables[name] }]
    secrets      = [for name in sort(keys(local.secrets)) : { name = name, valueFrom = local.secrets[name] }]
    portMappings = [for port in var.ports : { containerPort = port, hostPort = port, protocol = "tcp" }]
    mountPoints  = [for name, path in local.writable : { containerPath = path, readOnly = false, sourceVolume = name }]
    # The agent of ECS Exec writes into the container.
    readonlyRootFilesystem = !var.common.shell
    volumesFrom            = []
    systemControls         = []
    linuxParameters = {
      # Reaps what a task's own subprocesses leave behind.
      initProcessEnabled = true
      capabilities       = { add = [], drop = ["ALL"] }
    }
    # ECS ignores the image's own check. There is no curl in the image.
    healthCheck = {
      command     = ["CMD", "python3", "-I", "-S", "/opt/dask-graphql/healthcheck.py", var.node]
      interval    = 15
      timeout     = 5
      retries     = 3
      startPeriod = 60
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = data.aws_region.current.name
        awslogs-stream-prefix = var.node
        # A log service that does not answer must not stop the node.
        mode            = "non-blocking"
        max-buffer-size = "4m"
      }
    }
  }

  environment = merge(var.common.environment, var.environment)
  variables = merge(var.common.task_environment, {
    # OpenTelemetry's variables are its own.
    for key, value in local.environment : startswith(key, "OTEL_") ? key : "DASK_GRAPHQL_${key}" => value if value != ""
  })
  secrets = merge(var.common.task_secrets, { for key, value in var.common.secrets : "DASK_GRAPHQL_${key}" => value })

  # Of Secrets Manager without the JSON key, stage and version that may follow (`...:secret:name-AbCdEf:key::`).
  task_secret_arns = distinct([
    for arn in values(var.common.task_secrets) : join(":", slice(split(":", arn), 0, 7)) if strcontains(arn, ":secretsmanager:")
  ])
  parameter_arns = distinct([for arn in values(var.common.task_secrets) : arn if strcontains(arn, ":ssm:")])
  writable       = { data = "/var/lib/dask-graphql", tmp = "/tmp" }
}
