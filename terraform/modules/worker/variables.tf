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

variable "environment" {
  type        = map(string)
  description = "Settings of workers alone, without the prefix DASK_GRAPHQL_."
  default     = {}
}

variable "ephemeral_storage_gib" {
  type        = number
  description = "Disk in GiB, 20 or more."
}

variable "launch_type" {
  type        = string
  description = "`FARGATE` or `EC2`."
}

variable "bucket_arn" {
  type        = string
  description = "The bucket of results."
}

variable "bucket_prefix" {
  type        = string
  description = "Prefix of the results in the bucket."
}

variable "policy_arns" {
  type        = list(string)
  description = "Policies that the tasks need beside."
}
