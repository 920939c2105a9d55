# Once in an account, by an administrator: who may deploy, and a role for GitHub Actions. Its state is its own.
#
#   terraform -chdir=terraform/examples/deployer init && terraform -chdir=terraform/examples/deployer apply

variable "region" {
  type        = string
  description = "AWS region of the system."
}

variable "github_repository" {
  type        = string
  description = "OWNER/NAME of the repository that deploys."
}

provider "aws" {
  region = var.region
}

module "deployer" {
  source = "../../modules/deployer"
  region = var.region
  github = { repository = var.github_repository, environment = "production" }
}

output "role_to_assume" {
  description = "For aws-actions/configure-aws-credentials."
  value       = module.deployer.role_arn
}
