variable "name" {
  type        = string
  description = "Prefix of every name."
}

variable "engine" {
  type        = string
  description = "`valkey` or `redis`."
}

variable "node_type" {
  type        = string
  description = "Size of each member."
}

variable "members" {
  type        = number
  description = "Members: the primary and its replicas; in cluster mode, of each shard."
}

variable "shards" {
  type        = number
  description = "Shards (node groups) of cluster mode; 0 for no cluster mode."
}

variable "snapshot_days" {
  type        = number
  description = "Days that a daily snapshot is kept; 0 for none."
}

variable "restore_snapshot" {
  type        = string
  description = "Snapshot that a new group begins with; empty for none. Of a group that exists it changes nothing."
}

variable "final_snapshot" {
  type        = bool
  description = "Takes the snapshot `<name>-final` before the group is destroyed."
}

variable "port" {
  type        = number
  description = "Port of Redis."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Subnets of the members."
}

variable "security_group_id" {
  type        = string
  description = "Security group of the members."
}

variable "secret_recovery_days" {
  type        = number
  description = "Days in which a deleted secret can be restored."
}

variable "kms_key_arn" {
  type        = string
  description = "KMS key that encrypts; empty for AWS's own."
}
