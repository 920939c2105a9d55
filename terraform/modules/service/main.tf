# A node of which exactly one acts: the scheduler, the controller.

resource "aws_ecs_service" "this" {
  name             = var.node
  cluster          = var.placement.cluster_arn
  task_definition  = var.task_definition_arn
  launch_type      = "FARGATE"
  platform_version = "1.4.0"
  # Owned here: an apply brings one back that someone scaled away.
  desired_count = 1
  # The new one starts before the old one stops. A lease in Redis lets one of them act.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  enable_ecs_managed_tags            = true
  enable_execute_command             = var.shell
  propagate_tags                     = "SERVICE"

  # A revision that does not start is rolled back to the one before.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.placement.subnet_ids
    security_groups  = [var.placement.security_group_id]
    assign_public_ip = var.placement.assign_public_ip
  }

  dynamic "service_registries" {
    for_each = var.registry_arns
    content {
      registry_arn = service_registries.value
    }
  }
}
