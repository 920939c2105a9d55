# What api nodes, workers and the controller may do. A scheduler may do nothing.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  ecs_arn = "arn:${data.aws_partition.current.partition}:ecs:${var.region}:${data.aws_caller_identity.current.account_id}"
}

data "aws_iam_policy_document" "api" {
  statement {
    sid       = "ReadAndExpireResultsTakeFiles"
    actions   = ["s3:GetObject", "s3:DeleteObject", "s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${module.results.arn}/${local.results_prefix}/*"]
  }
  statement {
    sid       = "ListResults"
    actions   = ["s3:ListBucket"]
    resources = [module.results.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${local.results_prefix}/*"]
    }
  }
}

data "aws_iam_policy_document" "worker" {
  statement {
    sid       = "WriteResultsReadFiles"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:GetObject"]
    resources = ["${module.results.arn}/${local.results_prefix}/*"]
  }
}

data "aws_iam_policy_document" "controller" {
  statement {
    sid     = "StartWorkers"
    actions = ["ecs:RunTask"]
    # Every revision, since a controller that is being replaced still starts the one before. No other family.
    resources = [
      for family in concat([module.worker.family], [for pool in module.worker.pool_task_definitions : pool.family]) :
      "${local.ecs_arn}:task-definition/${family}:*"
    ]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [module.cluster.arn]
    }
  }
  statement {
    sid       = "SeeAndStopTasks"
    actions   = ["ecs:DescribeTasks", "ecs:StopTask"]
    resources = ["${local.ecs_arn}:task/${module.cluster.name}/*"]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [module.cluster.arn]
    }
  }
  dynamic "statement" {
    for_each = length(local.machines) > 0 || contains(keys(var.settings), "POOLS") ? [module.cluster.arn] : []
    content {
      sid       = "SeeMachinesThatDrain"
      actions   = ["ecs:ListContainerInstances"]
      resources = [statement.value]
    }
  }
  statement {
    sid     = "FindTasks"
    actions = ["ecs:ListTasks"]
    # The action knows container instances only, and a Fargate task has none; the condition names the cluster.
    resources = ["*"]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [module.cluster.arn]
    }
  }
  statement {
    sid       = "TagWorkers"
    actions   = ["ecs:TagResource"]
    resources = ["${local.ecs_arn}:task/${module.cluster.name}/*"]
    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }
  statement {
    sid       = "PassRoles"
    actions   = ["iam:PassRole"]
    resources = module.worker.role_arns
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }
}
