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

variable "node" {
  type        = string
  description = "The node's role."
}

variable "ports" {
  type        = list(number)
  description = "Ports on which the node listens."
  default     = []
}

variable "overlap" {
  type        = bool
  description = "Whether the new node may start before the old one has stopped."
}

variable "registry_arns" {
  type        = list(string)
  description = "Cloud Map service in which the node's address is entered, if any."
  default     = []
}
