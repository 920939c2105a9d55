output "url" {
  description = "Address of the api."
  value       = module.api.url
  precondition {
    condition     = data.aws_region.current.name == var.region
    error_message = "The provider is for another region (${data.aws_region.current.name}) than `region` (${var.region}). In this folder: cp provider.tf.example provider.tf."
  }
}

output "load_balancer_zone_id" {
  description = "Zone of the load balancer, for an alias record of your own domain."
  value       = module.api.load_balancer_zone_id
}

output "region" {
  description = "The region."
  value       = var.region
  # So that a first apply of the repositories alone tells it to the deploy script.
  depends_on = [module.images]
}

output "name" {
  description = "Name of the system."
  value       = var.name
  # So that a first apply of the repositories alone tells it to the deploy script.
  depends_on = [module.images]
}

output "image_tag" {
  description = "Tag of the running images of the api."
  value       = var.image_tag
}

output "compute_image_tag" {
  description = "Tag of the running images of scheduler, workers and controller."
  value       = local.compute_image_tag
}

output "architecture" {
  description = "Architecture of the images."
  value       = var.architecture
  # So that a first apply of the repositories alone tells it to the deploy script.
  depends_on = [module.images]
}

output "repositories" {
  description = "URL of each node's repository."
  value       = { for node, repository in module.images.repositories : node => repository.url }
}

output "cluster_arn" {
  description = "The ECS cluster."
  value       = module.cluster.arn
}

output "services" {
  description = "The ECS services."
  value       = [module.api.service_name, module.scheduler.service_name, module.controller.service_name]
}

output "task_definition_arns" {
  description = "The revision that each service was given, by its name; ECS runs another one after a rollback."
  value = {
    (module.api.service_name)        = module.api_node.task_definition_arn
    (module.scheduler.service_name)  = module.scheduler_node.task_definition_arn
    (module.controller.service_name) = module.controller_node.task_definition_arn
  }
}

output "worker_family" {
  description = "Family of the workers' task definition."
  value       = module.worker.family
}

output "worker_families" {
  description = "The same, and the families of pools on machines."
  value       = concat([module.worker.family], [for pool in module.worker.pool_task_definitions : pool.family])
}

output "worker_task_definition_arn" {
  description = "The workers' task definition."
  value       = module.worker.task_definition_arn
}

output "worker_security_group_id" {
  description = "Security group of workers: add egress rules for what your tasks need in addition to HTTPS."
  value       = module.network.security_group_ids["worker"]
}

output "redis_security_group_id" {
  description = "Security group of Redis: attach it to your own Redis, or let that accept the nodes in another way."
  value       = module.network.security_group_ids["redis"]
}

output "redis_replication_group_id" {
  description = "ElastiCache's replication group; null with your own Redis."
  value       = one(module.redis[*].replication_group_id)
}

output "redis_address" {
  description = "host:port of ElastiCache; null with your own Redis."
  value       = one(module.redis[*].address)
}

output "redis_url_secret_arn" {
  description = "Secret with the URL of Redis."
  value       = local.redis_url_secret_arn
}

output "dask_tls_secret_arn" {
  description = "Secret with Dask's TLS material."
  value       = module.cluster.dask_tls_secret_arn
}

output "results_bucket" {
  description = "Bucket of large results."
  value       = module.results.bucket
}

output "subnet_ids" {
  description = "Subnets of the nodes."
  value       = module.network.private_subnet_ids
}

output "dashboard_url" {
  description = "The dashboard in AWS's console."
  value       = module.observability.dashboard_url
}

output "alarm_names" {
  description = "All alarms."
  value       = module.observability.alarm_names
}

output "alarm_topic_arn" {
  description = "SNS topic of all alarms, for further subscribers."
  value       = module.observability.alarm_topic_arn
}

output "next_commands" {
  description = "The next commands."
  value       = <<-END
    make deploy                    builds and pushes the images, writes the secrets, applies, waits (docs/aws.md)
    curl ${module.api.url}/readyz
    scripts/aws/deploy.py key me   prints an API key, by a task in the cluster
    aws logs tail /${var.name}/controller --follow --region ${var.region}
    ${module.observability.dashboard_url}
  END
}
