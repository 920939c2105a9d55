terraform {
  # 1.11: an S3 backend that locks by itself, and variables that check each other.
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6.0"
    }
  }
}
