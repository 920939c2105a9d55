variable "name" {
  type        = string
  description = "Prefix of every name."
}

variable "prefix" {
  type        = string
  description = "Prefix of every object."
}

variable "expiration_days" {
  type        = number
  description = "Days after which an object is deleted; 0 for never."
}

variable "force_destroy" {
  type        = bool
  description = "Whether a destroy deletes the results too."
}

variable "kms_key_arn" {
  type        = string
  description = "KMS key that encrypts; empty for AWS's own."
}
