variable "name" {
  type        = string
  description = "Prefix of every name."
}

variable "email" {
  type        = string
  description = "Address that receives alarms; empty for none."
}

variable "cluster_name" {
  type        = string
  description = "Name of the ECS cluster."
}

variable "load_balancer_dimension" {
  type        = string
  description = "The load balancer in CloudWatch."
}

variable "target_group_dimension" {
  type        = string
  description = "The target group in CloudWatch."
}

variable "runbook_url" {
  type        = string
  description = "Page that says what to do about each alarm; `#alarm-<name>` is its place there."
}

variable "redis_node_type" {
  type        = string
  description = "Size of each member of Redis."
}

variable "redis_member_ids" {
  type        = list(string)
  description = "Cache cluster ids of Redis; empty with your own Redis."
}

variable "log_groups" {
  type        = map(string)
  description = "Log group by node."
}

variable "queue_age_seconds" {
  type        = number
  description = "Seconds that the oldest queued task may wait before an alarm."
}

variable "redis_memory_percent" {
  type        = number
  description = "Percent of its memory that Redis may use."
}

variable "monthly_budget_usd" {
  type        = number
  description = "US dollars a month; 0 for no budget."
}

variable "kms_key_arn" {
  type        = string
  description = "KMS key that encrypts; empty for AWS's own."
}

variable "cluster_arn" {
  type        = string
  description = "The ECS cluster."
}

variable "log_retention_days" {
  type        = number
  description = "Days that the log of stopped tasks is kept."
}
