variable "node" {
  type        = string
  description = "The node's role."
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

variable "registry_arns" {
  type        = list(string)
  description = "Cloud Map service in which the node is registered, if any."
  default     = []
}

variable "shell" {
  type        = bool
  description = "Whether ECS Exec opens a shell in a node."
}
