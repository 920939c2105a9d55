# The ECS cluster, the name by which the scheduler is found, and the secret of Dask's TLS.

resource "aws_ecs_cluster" "this" {
  name = var.name
  setting {
    name  = "containerInsights"
    value = var.container_insights
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = concat(["FARGATE", "FARGATE_SPOT"], var.machine_providers)
  # What a RunTask gets that names neither provider nor launch type. The services name theirs.
  default_capacity_provider_strategy {
    capacity_provider = var.default_capacity_provider
    weight            = 1
  }
}

resource "aws_service_discovery_private_dns_namespace" "this" {
  name        = "${var.name}.internal"
  description = "Nodes of ${var.name}"
  vpc         = var.vpc_id
}

resource "aws_service_discovery_service" "scheduler" {
  name        = "scheduler"
  description = "The Dask scheduler: ECS enters the address of the task that runs"
  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"
    dns_records {
      # A new scheduler is found after this long at most.
      ttl  = 5
      type = "A"
    }
  }
  # ECS tells the health; Route 53 cannot check addresses of a VPC.
  health_check_custom_config {
    failure_threshold = 1
  }
  force_destroy = true
}

# An object of `ca`, `cert` and `key` (PEM), so that the three change together. `scripts/aws/deploy.py secrets` writes it:
# a key that Terraform made would be in its state.
resource "aws_secretsmanager_secret" "dask_tls" {
  name                    = "${var.name}/dask-tls"
  description             = "CA, certificate and key with which Dask's nodes know each other"
  kms_key_id              = var.kms_key_arn == "" ? null : var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_days
}
