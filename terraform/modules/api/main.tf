# The api nodes and what stands before them. Their number is owned by the autoscaling in autoscaling.tf.

resource "aws_ecs_service" "this" {
  name                               = "api"
  cluster                            = var.placement.cluster_arn
  task_definition                    = var.task_definition_arn
  launch_type                        = "FARGATE"
  platform_version                   = "1.4.0"
  desired_count                      = var.minimum
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 60
  enable_ecs_managed_tags            = true
  enable_execute_command             = var.shell
  propagate_tags                     = "SERVICE"

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.placement.subnet_ids
    security_groups  = [var.placement.security_group_id]
    assign_public_ip = var.placement.assign_public_ip
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
