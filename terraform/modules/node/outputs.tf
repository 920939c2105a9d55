output "task_definition_arn" {
  description = "The task definition with its revision."
  value       = aws_ecs_task_definition.this.arn
  # A task that starts before its role may pull and log fails.
  depends_on = [aws_iam_role_policy.execution, aws_iam_role_policy.task]
}

output "family" {
  description = "The task definition's family."
  value       = aws_ecs_task_definition.this.family
}

output "pool_task_definitions" {
  description = "The task definition of each pool on machines: ARN with its revision, family."
  value       = { for pool, definition in aws_ecs_task_definition.pool : pool => { arn = definition.arn, family = definition.family } }
  depends_on  = [aws_iam_role_policy.execution, aws_iam_role_policy.task]
}

output "pool_shapes" {
  description = "What the task definition of each pool on machines asks for, for tests."
  value = {
    for pool, definition in aws_ecs_task_definition.pool : pool => {
      launch_types = definition.requires_compatibilities
      network      = definition.network_mode
      gpus         = try(jsondecode(definition.container_definitions)[0].resourceRequirements[0].value, "0")
      cpu          = definition.cpu
      memory       = definition.memory
    }
  }
}

output "role_arns" {
  description = "The two roles that whoever starts the node passes on: ECS's and the node's own."
  value       = [aws_iam_role.execution.arn, aws_iam_role.task.arn]
}

output "task_role_name" {
  description = "Name of the role of the node itself."
  value       = aws_iam_role.task.name
}

output "log_group" {
  description = "Where the node logs."
  value       = aws_cloudwatch_log_group.this.name
}

output "environment" {
  description = "Settings of the node, without the prefix DASK_GRAPHQL_."
  value       = local.environment
}
