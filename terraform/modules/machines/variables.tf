variable "name" {
  type        = string
  description = "Name of the capacity provider, and of all that belongs to it."
}

variable "cluster_name" {
  type        = string
  description = "ECS cluster that the machines join."
}

variable "tags" {
  type        = map(string)
  description = "Tags of machines, which default tags do not reach."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Subnets of the machines."
}

variable "security_group_id" {
  type        = string
  description = "Security group of the machines."
}

variable "architecture" {
  type        = string
  description = "`X86_64` or `ARM64`."
}

variable "gpu" {
  type        = bool
  description = "Whether the machines have GPUs: then their image has the drivers."
}

variable "instance_types" {
  type        = list(string)
  description = "Instance types, the first one as the default."
}

variable "max_instances" {
  type        = number
  description = "Maximum number of machines."
}

variable "disk_gib" {
  type        = number
  description = "Disk of a machine in GiB, for images and what workers spill."
}

variable "spot_share" {
  type        = number
  description = "Share of Spot among the machines, 0 to 1."
}

variable "role_path" {
  type        = string
  description = "Path of roles."
}

variable "boundary_arn" {
  type        = string
  description = "Permissions boundary of roles; empty for none."
}
