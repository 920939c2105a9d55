variable "name" {
  type        = string
  description = "Prefix of every name."
}

variable "kept" {
  type        = number
  description = "Number of images that each repository keeps."
}

variable "kms_key_arn" {
  type        = string
  description = "KMS key that encrypts; empty for AWS's own."
}
