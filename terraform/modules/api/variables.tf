variable "name" {
  type        = string
  description = "Prefix of every name."
}

variable "task_definition_arn" {
  type        = string
  description = "Task definition of the node, from modules/node."
}

variable "placement" {
  type = object({
    cluster_arn       = string
    subnet_ids        = list(string)
    security_group_id = string
    assign_public_ip  = bool
  })
  description = "Where the node runs: the ECS cluster, subnets and security group, and whether it gets a public address."
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
  description = "Minimum number of api nodes."
}

variable "maximum" {
  type        = number
  description = "Maximum number of api nodes."
}

variable "scale_requests_per_minute" {
  type        = number
  description = "Requests per minute and node, above which another node is started."
}

variable "scale_connections" {
  type        = number
  description = "Open connections per node, above which another node is started; the load balancer counts both sides of each."
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
  description = "Seconds that a connection may be idle."
}

variable "deletion_protection" {
  type        = bool
  description = "Whether the load balancer refuses to be deleted."
}
