output "policy_arns" {
  description = "Policies of whoever deploys: attach all of them to a user or a role."
  value       = { for name, policy in aws_iam_policy.this : name => policy.arn }
}

output "policies" {
  description = "The same as JSON."
  value       = local.policies
}

output "role_arn" {
  description = "Role of jobs in GitHub Actions (`role-to-assume`); null without `github`."
  value       = one(aws_iam_role.github[*].arn)
}
