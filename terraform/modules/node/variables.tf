variable "name" {
  type        = string
  description = "Prefix of every name."
}

variable "node" {
  type        = string
  description = "The node's role: `api`, `scheduler`, `controller` or `worker`; also its container's name and its command."
}

variable "common" {
  type = object({
    image_tag          = string
    architecture       = string
    log_retention_days = number
    environment        = map(string)
    secrets            = map(string)
    secret_arns        = list(string)
    task_environment   = optional(map(string), {})
    task_secrets       = optional(map(string), {})
    kms_key_arn        = optional(string, "")
    secret_key_arns    = optional(list(string), [])
    data_key_arns      = optional(list(string), [])
    role_path          = optional(string, "/")
    boundary_arn       = optional(string, "")
    shell              = optional(bool, false)
  })
  description = "What nodes have in common. `environment` and `secrets` without the prefix DASK_GRAPHQL_; `task_environment` and `task_secrets` are the tasks' own, under their whole names. The keys: of the log group, of the secrets, of the bucket. `shell`: whether ECS Exec opens one in the node."
}

variable "repository" {
  type        = object({ arn = string, url = string })
  description = "ECR repository of the image."
}

variable "environment" {
  type        = map(string)
  description = "Settings of this node alone, without the prefix DASK_GRAPHQL_; empty values are omitted."
  default     = {}
}

variable "cpu" {
  type        = number
  description = "CPU units, 1024 for one vCPU."
}

variable "memory_mib" {
  type        = number
  description = "Memory in MiB."
}

variable "ephemeral_storage_gib" {
  type        = number
  description = "Disk in GiB."
  default     = 20
}

variable "ports" {
  type        = list(number)
  description = "Ports on which the node listens."
  default     = []
}

variable "stop_timeout_seconds" {
  type        = number
  description = "Seconds between SIGTERM and SIGKILL, at most 120."
  default     = 30
}

variable "launch_type" {
  type        = string
  description = "`FARGATE` or `EC2`."
  default     = "FARGATE"
}

variable "pools" {
  type        = map(object({ cpu = number, memory_mib = number, gpu = number }))
  description = "Pools that run the node on machines, each with a task definition of its own: CPU units, MiB and GPUs of a task."
  default     = {}
}

variable "policies" {
  type        = map(string)
  description = "What the node may do: name -> policy (JSON)."
  default     = {}
}
