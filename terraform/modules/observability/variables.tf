variable "name" {
  type        = string
  description = "Prefix of every name."
}

variable "email" {
  type        = string
  description = "Who is told; empty for nobody."
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

variable "redis_member_ids" {
  type        = list(string)
  description = "Cache cluster ids of Redis; empty where Redis is not ours."
}

variable "log_groups" {
  type        = map(string)
  description = "Log group by node."
}

variable "queue_age_seconds" {
  type        = number
  description = "Seconds that a task may wait."
}

variable "redis_memory_percent" {
  type        = number
  description = "Percent of its memory that Redis may use."
}

variable "monthly_budget_usd" {
  type        = number
  description = "US dollars a month; 0 for no budget."
}
