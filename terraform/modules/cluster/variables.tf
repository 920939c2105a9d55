variable "name" {
  type        = string
  description = "Name of the cluster."
}

variable "vpc_id" {
  type        = string
  description = "VPC in which names are resolved."
}

variable "machine_providers" {
  type        = list(string)
  description = "Capacity providers of machines, beside Fargate's."
}

variable "default_capacity_provider" {
  type        = string
  description = "Capacity provider of tasks that name none."
}

variable "container_insights" {
  type        = string
  description = "Container Insights, which is charged per metric: `disabled`, `enabled` or `enhanced`."
}

variable "secret_recovery_days" {
  type        = number
  description = "Days in which a deleted secret can be restored."
}

variable "kms_key_arn" {
  type        = string
  description = "KMS key that encrypts; empty for AWS's own."
}
