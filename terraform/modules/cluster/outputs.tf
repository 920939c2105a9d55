output "name" {
  description = "Name of the cluster."
  value       = aws_ecs_cluster.this.name
}

output "arn" {
  description = "ARN of the cluster."
  value       = aws_ecs_cluster.this.arn
  # A task cannot be placed before the providers are there.
  depends_on = [aws_ecs_cluster_capacity_providers.this]
}

output "scheduler_host" {
  description = "DNS name of the scheduler."
  value       = "${aws_service_discovery_service.scheduler.name}.${aws_service_discovery_private_dns_namespace.this.name}"
}

output "scheduler_registry_arn" {
  description = "Cloud Map service in which the scheduler is registered."
  value       = aws_service_discovery_service.scheduler.arn
}

output "dask_tls_secret_arn" {
  description = "Secret with Dask's TLS material."
  value       = aws_secretsmanager_secret.dask_tls.arn
}

output "capacity_providers" {
  description = "Capacity providers of the cluster."
  value       = aws_ecs_cluster_capacity_providers.this.capacity_providers
}

output "default_capacity_provider" {
  description = "The capacity provider of tasks that name none."
  value       = one(aws_ecs_cluster_capacity_providers.this.default_capacity_provider_strategy).capacity_provider
}
