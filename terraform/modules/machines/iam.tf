# What ECS's agent on a machine may do: be a machine of this cluster. Images, logs and secrets are the roles' of its tasks.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  ecs_arn     = "arn:${data.aws_partition.current.partition}:ecs:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}"
  cluster_arn = "${local.ecs_arn}:cluster/${var.cluster_name}"
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "agent" {
  statement {
    sid = "BeOfTheCluster"
    actions = [
      "ecs:DeregisterContainerInstance", "ecs:RegisterContainerInstance", "ecs:SubmitAttachmentStateChanges",
      "ecs:SubmitContainerStateChange", "ecs:SubmitTaskStateChange",
    ]
    resources = [local.cluster_arn]
  }
  statement {
    sid       = "TakeTasksAndDrain"
    actions   = ["ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState"]
    resources = ["${local.ecs_arn}:container-instance/${var.cluster_name}/*"]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [local.cluster_arn]
    }
  }
  statement {
    sid     = "FindEcs"
    actions = ["ecs:DiscoverPollEndpoint"]
    # The action knows no resource.
    resources = ["*"]
  }
}

resource "aws_iam_role" "this" {
  name               = var.name
  path               = var.role_path
  description        = "Machines that run workers"
  assume_role_policy = data.aws_iam_policy_document.assume.json

  permissions_boundary = var.boundary_arn == "" ? null : var.boundary_arn
}

resource "aws_iam_role_policy" "this" {
  name   = "agent"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.agent.json
}

resource "aws_iam_instance_profile" "this" {
  name = var.name
  path = var.role_path
  role = aws_iam_role.this.name
}
