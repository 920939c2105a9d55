# ECS forgets a task an hour after it has stopped. Why each one stopped is kept here.

resource "aws_cloudwatch_log_group" "stopped_tasks" {
  # EventBridge writes only to groups with this prefix.
  name              = "/aws/events/${var.name}-stopped-tasks"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn == "" ? null : var.kms_key_arn
}

resource "aws_cloudwatch_event_rule" "stopped_tasks" {
  name        = "${var.name}-stopped-tasks"
  description = "Tasks of ${var.name} that have stopped"
  event_pattern = jsonencode({
    source        = ["aws.ecs"]
    "detail-type" = ["ECS Task State Change"]
    detail        = { clusterArn = [var.cluster_arn], lastStatus = ["STOPPED"] }
  })
}

resource "aws_cloudwatch_event_target" "stopped_tasks" {
  rule = aws_cloudwatch_event_rule.stopped_tasks.name
  arn  = aws_cloudwatch_log_group.stopped_tasks.arn
  # It is delivered from the moment the target exists.
  depends_on = [aws_cloudwatch_log_resource_policy.stopped_tasks]
}

locals {
  event_writers = ["events.amazonaws.com", "delivery.logs.amazonaws.com"]
}

data "aws_iam_policy_document" "stopped_tasks" {
  statement {
    sid       = "EventBridgeMakesStreams"
    actions   = ["logs:CreateLogStream"]
    resources = ["${aws_cloudwatch_log_group.stopped_tasks.arn}:*"]
    principals {
      type        = "Service"
      identifiers = local.event_writers
    }
  }
  statement {
    sid       = "EventBridgeWrites"
    actions   = ["logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.stopped_tasks.arn}:*"]
    principals {
      type        = "Service"
      identifiers = local.event_writers
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.stopped_tasks.arn]
    }
  }
}

resource "aws_cloudwatch_log_resource_policy" "stopped_tasks" {
  policy_name     = "${var.name}-stopped-tasks"
  policy_document = data.aws_iam_policy_document.stopped_tasks.json
}
