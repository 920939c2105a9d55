variable "name" {
  type        = string
  description = "Name of the cluster."
}

variable "tags" {
  type        = map(string)
  description = "Tags of machines, which default tags do not reach."
}

variable "vpc_id" {
  type        = string
  description = "VPC in which names are resolved."
}

variable "private_subnet_ids" {
  type        = list(string)
  description = "Subnets of the machines."
}

variable "instance_security_group_id" {
  type        = string
  description = "Security group of the machines."
}

variable "container_insights" {
  type        = string
  description = "Container Insights, which is charged per metric: `disabled`, `enabled` or `enhanced`."
}

variable "architecture" {
  type        = string
  description = "`X86_64` or `ARM64`."
}

variable "spot_share" {
  type        = number
  description = "Share of Spot among the machines, 0 to 1."
}

variable "ec2" {
  type = object({
    instance_types = list(string)
    max_instances  = number
  })
  description = "EC2 capacity; null for Fargate alone."
}

variable "role_path" {
  type        = string
  description = "Path of roles."
}

variable "boundary_arn" {
  type        = string
  description = "Permissions boundary of roles; empty for none."
}

variable "secret_recovery_days" {
  type        = number
  description = "Days in which a deleted secret can be restored."
}

variable "kms_key_arn" {
  type        = string
  description = "KMS key that encrypts; empty for AWS's own."
}
