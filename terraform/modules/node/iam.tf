# Two roles: one with which ECS starts the node (image, secrets, logs), one that the node itself has.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    # Only for tasks of this account and region: ECS must not lend the role to anyone else.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values = [
        "arn:${data.aws_partition.current.partition}:ecs:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:*"
      ]
    }
  }
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-${var.node}-execution"
  path               = var.common.role_path
  description        = "With which ECS starts ${var.node} nodes"
  assume_role_policy = data.aws_iam_policy_document.assume.json

  permissions_boundary = local.boundary
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid     = "Login"
    actions = ["ecr:GetAuthorizationToken"]
    # The action knows no resource: the token is the account's.
    resources = ["*"]
  }
  statement {
    sid       = "Pull"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [var.repository.arn]
  }
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }
  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = distinct(concat(var.common.secret_arns, local.task_secret_arns))
  }
  dynamic "statement" {
    for_each = length(local.parameter_arns) > 0 ? [local.parameter_arns] : []
    content {
      sid       = "Parameters"
      actions   = ["ssm:GetParameters"]
      resources = statement.value
    }
  }
  dynamic "statement" {
    for_each = length(var.common.secret_key_arns) > 0 ? [var.common.secret_key_arns] : []
    content {
      sid       = "DecryptSecrets"
      actions   = ["kms:Decrypt"]
      resources = statement.value
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = [for service in ["secretsmanager", "ssm"] : "${service}.${data.aws_region.current.name}.amazonaws.com"]
      }
    }
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

resource "aws_iam_role" "task" {
  name               = "${var.name}-${var.node}"
  path               = var.common.role_path
  description        = "What ${var.node} nodes may do"
  assume_role_policy = data.aws_iam_policy_document.assume.json

  permissions_boundary = local.boundary
}

locals {
  boundary = var.common.boundary_arn == "" ? null : var.common.boundary_arn
  policies = merge(
    var.policies,
    # Where a node reads or writes the bucket.
    length(var.common.data_key_arns) > 0 && contains(keys(var.policies), "results") ? { key = data.aws_iam_policy_document.data_key.json } : {},
    var.common.shell ? { shell = data.aws_iam_policy_document.shell.json } : {},
  )
}

data "aws_iam_policy_document" "data_key" {
  statement {
    sid       = "EncryptResults"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = var.common.data_key_arns
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${data.aws_region.current.name}.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "shell" {
  statement {
    sid = "Shell"
    actions = [
      "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    # The actions know no resource.
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "task" {
  for_each = local.policies
  name     = each.key
  role     = aws_iam_role.task.id
  policy   = each.value
}
