variable "name" {
  type        = string
  description = "Prefix of every name: `name` of the system, or what the names of several begin with."
  default     = "dask-graphql"
}

variable "region" {
  type        = string
  description = "AWS region of the system."
}

variable "role_path" {
  type        = string
  description = "Path of the system's roles and of the deployer's own."
  default     = "/"
}

variable "permissions_boundary_arn" {
  type        = string
  description = "IAM policy without which the deployer may make no role; empty for none. It is also the deployer's own boundary."
  default     = ""
}

variable "hosted_zone_ids" {
  type        = list(string)
  description = "Hosted zones in which the deployer may enter the name of the api."
  default     = []
}

variable "state_bucket" {
  type        = string
  description = "Bucket of Terraform's state; empty for a state that the deployer keeps itself."
  default     = ""
}

variable "github" {
  type = object({
    repository   = string
    environment  = string
    provider_arn = optional(string, "")
  })
  description = "Repository (OWNER/NAME) whose jobs in one GitHub environment may take the deployer's role, and the ARN of the account's OIDC provider for GitHub, if it has one; null for policies alone."
  default     = null
  validation {
    condition     = var.github == null ? true : can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github.repository)) && can(regex("^[^:*?]+$", var.github.environment))
    error_message = "github: such as { repository = \"my-organization/my-repository\", environment = \"production\" }, without wildcards."
  }
}
