# The api nodes and what stands before them. Their number is owned by the autoscaling in autoscaling.tf.

module "node" {
  source               = "../node"
  name                 = var.name
  node                 = "api"
  common               = var.common
  repository           = var.repository
  environment          = var.environment
  cpu                  = var.cpu
  memory_mib           = var.memory_mib
  ports                = [var.port]
  stop_timeout_seconds = 60
  policies             = var.policies
}

resource "aws_ecs_service" "this" {
  name                               = "api"
  cluster                            = var.cluster_arn
  task_definition                    = module.node.task_definition_arn
  launch_type                        = "FARGATE"
  platform_version                   = "1.4.0"
  desired_count                      = var.minimum
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 60
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_id]
    assign_public_ip = var.assign_public_ip
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = "api"
    container_port   = var.port
  }

  lifecycle {
    ignore_changes = [desired_count]
  }

  # ECS refuses a target group that no listener uses.
  depends_on = [aws_lb_listener.http, aws_lb_listener.https]
}
