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
  description = "Certificate for HTTPS; empty for one of `domain`, or for HTTP where there is none."
}

variable "domain" {
  type        = object({ name = string, zone_id = string })
  description = "Name of the api, and the hosted zone in which it is entered; null for the load balancer's own name."
}

variable "access_log_days" {
  type        = number
  description = "Days that access logs are kept; 0 for none."
}

variable "firewall" {
  type        = object({ requests_per_minute = number })
  description = "A web firewall, and the requests a minute that it lets one address make; null for none."
}

variable "log_retention_days" {
  type        = number
  description = "Days that the firewall's log is kept."
}

variable "idle_timeout_seconds" {
  type        = number
  description = "Seconds that a connection may be idle."
}

variable "deletion_protection" {
  type        = bool
  description = "Whether the load balancer refuses to be deleted."
}

variable "shell" {
  type        = bool
  description = "Whether ECS Exec opens a shell in a node."
}

variable "kms_key_arn" {
  type        = string
  description = "KMS key of the firewall's log; empty for AWS's own."
}
