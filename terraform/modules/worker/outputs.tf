output "task_definition_arn" {
  description = "The task definition with its revision."
  value       = module.node.task_definition_arn
}

output "family" {
  description = "The task definition's family."
  value       = module.node.family
}

output "role_arns" {
  description = "The two roles that whoever starts a worker passes on."
  value       = [module.node.execution_role_arn, module.node.task_role_arn]
}

output "log_group" {
  description = "Where workers log."
  value       = module.node.log_group
}
