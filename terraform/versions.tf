terraform {
  # 1.11 is the first with write-only arguments, which keep the Redis token out of plans and state.
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6.0"
    }
  }
}

# Credentials and, for an emulation, AWS_ENDPOINT_URL come from the environment.
provider "aws" {
  region = var.region
  default_tags {
    tags = local.tags
  }
}
