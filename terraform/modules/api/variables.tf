variable "name" {
  type        = string
  description = "Prefix of every name."
}

variable "common" {
  type = object({
    image_tag          = string
    architecture       = string
    log_retention_days = number
    environment        = map(string)
    secrets            = map(string)
    secret_arns        = list(string)
  })
  description = "What all nodes have in common; see modules/node."
}

variable "repository" {
  type        = object({ arn = string, url = string })
  description = "ECR repository of the image."
}

variable "cpu" {
  type        = number
  description = "CPU units, 1024 for one vCPU."
}

variable "memory_mib" {
  type        = number
  description = "Memory in MiB."
}

variable "cluster_arn" {
  type        = string
  description = "The ECS cluster."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Subnets of the nodes."
}

variable "security_group_id" {
  type        = string
  description = "Security group of the nodes."
}

variable "assign_public_ip" {
  type        = bool
  description = "Whether nodes get public addresses."
}

variable "environment" {
  type        = map(string)
  description = "Settings of this node alone, without the prefix DASK_GRAPHQL_."
  default     = {}
}

variable "policies" {
  type        = map(string)
  description = "What the node may do: name -> policy (JSON)."
  default     = {}
}

variable "cluster_name" {
  type        = string
  description = "Name of the ECS cluster."
}

variable "port" {
  type        = number
  description = "Port of the api nodes."
}

variable "minimum" {
  type        = number
  description = "Fewest api nodes."
}

variable "maximum" {
  type        = number
  description = "Most api nodes."
}

variable "scale_requests_per_minute" {
  type        = number
  description = "Requests a minute that one node should have."
}

variable "scale_connections" {
  type        = number
  description = "Open connections that one node should have; the load balancer counts both sides of each."
}

variable "vpc_id" {
  type        = string
  description = "VPC of the load balancer."
}

variable "load_balancer_subnet_ids" {
  type        = list(string)
  description = "Subnets of the load balancer."
}

variable "load_balancer_security_group_id" {
  type        = string
  description = "Security group of the load balancer."
}

variable "internal" {
  type        = bool
  description = "Whether the load balancer has private addresses only."
}

variable "certificate_arn" {
  type        = string
  description = "Certificate for HTTPS; empty for HTTP."
}

variable "idle_timeout_seconds" {
  type        = number
  description = "Seconds that a connection may be silent."
}

variable "deletion_protection" {
  type        = bool
  description = "Whether the load balancer refuses to be deleted."
}
