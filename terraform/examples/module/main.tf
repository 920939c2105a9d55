# Several systems in a configuration of your own. The images are pushed and the secrets written by scripts/aws/deploy.py
# (`images`, `secrets`), or by what you have in its place.

variable "image_tag" {
  type        = string
  description = "Tag of the images."
}

locals {
  region = "eu-central-1"
  systems = {
    staging    = { max_workers = 5, name = "tasks-staging" }
    production = { max_workers = 100, name = "tasks" }
  }
}

provider "aws" {
  region = local.region
  default_tags {
    tags = { managed_by = "terraform" }
  }
}

module "tasks" {
  source   = "../.."
  for_each = local.systems

  name            = each.value.name
  region          = local.region
  image_tag       = var.image_tag
  max_workers     = each.value.max_workers
  certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
}

output "urls" {
  description = "Addresses of the apis."
  value       = { for system, it in module.tasks : system => it.url }
}
