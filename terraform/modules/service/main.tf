# A node of which there is exactly one: the scheduler, the controller.

module "node" {
  source               = "../node"
  name                 = var.name
  node                 = var.node
  common               = var.common
  repository           = var.repository
  environment          = var.environment
  cpu                  = var.cpu
  memory_mib           = var.memory_mib
  ports                = var.ports
  stop_timeout_seconds = 30
  policies             = var.policies
}

resource "aws_ecs_service" "this" {
  name             = var.node
  cluster          = var.cluster_arn
  task_definition  = module.node.task_definition_arn
  launch_type      = "FARGATE"
  platform_version = "1.4.0"
  # Owned here: an apply brings one back that someone scaled away.
  desired_count                      = 1
  deployment_minimum_healthy_percent = var.overlap ? 100 : 0
  deployment_maximum_percent         = var.overlap ? 200 : 100
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"

  # A revision that does not start is rolled back to the one before.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_id]
    assign_public_ip = var.assign_public_ip
  }

  dynamic "service_registries" {
    for_each = var.registry_arns
    content {
      registry_arn = service_registries.value
    }
  }
}
