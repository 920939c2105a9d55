output "repositories" {
  description = "ARN and URL of each node's repository."
  value       = { for node, repository in aws_ecr_repository.this : node => { arn = repository.arn, url = repository.repository_url } }
}
