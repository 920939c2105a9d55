# Who deploys: what `scripts/aws/deploy.py` needs for the first deployment, updates and the destroy, and a role for CI that
# has no key to lose.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  policies = {
    compute = data.aws_iam_policy_document.compute.json
    data    = data.aws_iam_policy_document.data.json
    roles   = data.aws_iam_policy_document.roles.json
  }
}

resource "aws_iam_policy" "this" {
  for_each    = local.policies
  name        = "${var.name}-deployer-${each.key}"
  path        = var.role_path
  description = "Whoever deploys ${var.name}: ${each.key}"
  policy      = each.value
}

# GitHub Actions ---------------------------------------------------------------------------------------------------------

resource "aws_iam_openid_connect_provider" "github" {
  count          = var.github == null ? 0 : var.github.provider_arn == "" ? 1 : 0
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "github" {
  count = var.github == null ? 0 : 1
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [var.github.provider_arn == "" ? aws_iam_openid_connect_provider.github[0].arn : var.github.provider_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }
    # Of one environment, whose protection rules say which branches deploy and who approves.
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = ["repo:${var.github.repository}:environment:${var.github.environment}"]
    }
  }
}

resource "aws_iam_role" "github" {
  count              = var.github == null ? 0 : 1
  name               = "${var.name}-deployer"
  path               = var.role_path
  description        = "Deploys ${var.name} from ${var.github.repository}"
  assume_role_policy = data.aws_iam_policy_document.github[0].json
  # ElastiCache takes a quarter of an hour.
  max_session_duration = 7200

  permissions_boundary = var.permissions_boundary_arn == "" ? null : var.permissions_boundary_arn
}

resource "aws_iam_role_policy_attachment" "github" {
  for_each   = var.github == null ? {} : aws_iam_policy.this
  role       = aws_iam_role.github[0].name
  policy_arn = each.value.arn
}
