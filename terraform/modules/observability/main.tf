# Alarms that tell somebody, and one page to look at.

# Without a key of KMS. The one that AWS manages for SNS (alias/aws/sns) does not let CloudWatch publish, and its policy
# cannot be changed: every alarm would reach nobody (repost.aws/knowledge-center/cloudwatch-configure-alarm-sns). The
# messages hold names and numbers.
resource "aws_sns_topic" "alarms" {
  name = "${var.name}-alarms"
}

resource "aws_sns_topic_subscription" "email" {
  count     = var.email == "" ? 0 : 1
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.email
}

locals {
  balancer = { LoadBalancer = var.load_balancer_dimension }
  target   = { LoadBalancer = var.load_balancer_dimension, TargetGroup = var.target_group_dimension }
  logs     = "${var.name}/logs"

  alarms = merge(
    {
      "api-unhealthy" = {
        text      = "An api node has failed its health checks for five minutes."
        namespace = "AWS/ApplicationELB", metric = "UnHealthyHostCount", dimensions = local.target
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 0, minutes = 5, missing = "notBreaching"
      }
      "api-down" = {
        text      = "No api node is healthy: nobody is served."
        namespace = "AWS/ApplicationELB", metric = "HealthyHostCount", dimensions = local.target
        statistic = "Maximum", comparison = "LessThanThreshold", threshold = 1, minutes = 2, missing = "breaching"
      }
      "api-errors" = {
        text      = "Api nodes answer with 5xx."
        namespace = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", dimensions = local.balancer
        statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 10, minutes = 5, missing = "notBreaching"
      }
      "balancer-errors" = {
        text      = "The load balancer itself answers with 5xx: no node took the request, closed the connection, or answered in time."
        namespace = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", dimensions = local.balancer
        statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 10, minutes = 5, missing = "notBreaching"
      }
      "queue-age" = {
        text      = "The oldest waiting task has waited for more than ${var.queue_age_seconds} s: workers do not come, or are too few."
        namespace = local.logs, metric = "QueueAgeSeconds", dimensions = {}
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = var.queue_age_seconds, minutes = 5, missing = "notBreaching"
      }
    },
    # What only the nodes know: the api node that recovers and the controller that leads log a line each minute.
    {
      "recovery-silent" = {
        text      = "No api node recovers tasks: retries, delayed tasks and lost tasks do not run."
        namespace = local.logs, metric = "QueueAgeSeconds", dimensions = {}
        statistic = "SampleCount", comparison = "LessThanThreshold", threshold = 1, minutes = 5, missing = "breaching"
      }
      "controller-silent" = {
        text      = "No controller acts: it hangs, or cannot reach Redis or ECS. Workers are neither started nor stopped."
        namespace = local.logs, metric = "fleetProblem", dimensions = {}
        statistic = "SampleCount", comparison = "LessThanThreshold", threshold = 1, minutes = 5, missing = "breaching"
      }
      "fleet-problem" = {
        text      = "Workers cannot be started as wanted: `cluster { fleet { problem } }` and the controller's log say why."
        namespace = local.logs, metric = "fleetProblem", dimensions = {}
        statistic = "Minimum", comparison = "GreaterThanThreshold", threshold = 0, minutes = 10, missing = "notBreaching"
      }
      "dask-certificate" = {
        text      = "Dask's certificates end in less than 60 days; after that no node starts. Rotate them: deploy.py secrets --rotate tls."
        namespace = local.logs, metric = "tlsDaysLeft", dimensions = {}
        statistic = "Minimum", comparison = "LessThanThreshold", threshold = 60, minutes = 1, missing = "notBreaching"
      }
    },
    # Each running task of a service gives one sample of its CPU a minute, so the samples count the tasks. It is free,
    # where Container Insights' RunningTaskCount is not.
    {
      for node in ["scheduler", "controller"] : "${node}-down" => {
        text      = "The ${node} does not run."
        namespace = "AWS/ECS", metric = "CPUUtilization", dimensions = { ClusterName = var.cluster_name, ServiceName = node }
        statistic = "SampleCount", comparison = "LessThanThreshold", threshold = 1, minutes = 5, missing = "breaching"
      }
    },
    {
      "scheduler-memory" = {
        text      = "The scheduler uses more than 85 % of its memory: give it more (scheduler_memory_mib)."
        namespace = "AWS/ECS", metric = "MemoryUtilization", dimensions = { ClusterName = var.cluster_name, ServiceName = "scheduler" }
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 85, minutes = 5, missing = "notBreaching"
      }
    },
    # Nothing is evicted (noeviction): a full Redis refuses every submission.
    {
      for index, member in var.redis_member_ids : "redis-memory-${index + 1}" => {
        text      = "Redis ${member} uses more than ${var.redis_memory_percent} % of its memory; when it is full, submissions are refused."
        namespace = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", dimensions = { CacheClusterId = member }
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = var.redis_memory_percent, minutes = 5, missing = "notBreaching"
      }
    },
    {
      for index, member in var.redis_member_ids : "redis-cpu-${index + 1}" => {
        text      = "Redis ${member} is busy: its one thread bounds the tasks per second."
        namespace = "AWS/ElastiCache", metric = "EngineCPUUtilization", dimensions = { CacheClusterId = member }
        statistic = "Average", comparison = "GreaterThanThreshold", threshold = 90, minutes = 5, missing = "notBreaching"
      }
    },
    {
      for index, member in var.redis_member_ids : "redis-lag-${index + 1}" => {
        text      = "Redis ${member} is more than 10 s behind its primary: a failover now would lose these seconds."
        namespace = "AWS/ElastiCache", metric = "ReplicationLag", dimensions = { CacheClusterId = member }
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 10, minutes = 5, missing = "notBreaching"
      }
    },
    # Only machines of the families t3 and t4g live on credits.
    {
      for index, member in var.redis_member_ids : "redis-credits-${index + 1}" => {
        text      = "Redis ${member} has nearly used up its CPU credits and becomes slow: take a larger or another type (redis_node_type)."
        namespace = "AWS/ElastiCache", metric = "CPUCreditBalance", dimensions = { CacheClusterId = member }
        statistic = "Minimum", comparison = "LessThanThreshold", threshold = 20, minutes = 5, missing = "notBreaching"
      } if startswith(var.redis_node_type, "cache.t")
    },
    {
      for node in keys(var.log_groups) : "${node}-log-errors" => {
        text      = "The ${node} logs errors: look into /${var.name}/${node}."
        namespace = local.logs, metric = "Errors-${node}", dimensions = {}
        statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 0, minutes = 5, missing = "notBreaching"
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.text} ${var.runbook_url}#alarm-${replace(each.key, "/-[0-9]+$/", "")}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  datapoints_to_alarm = each.value.comparison == "GreaterThanThreshold" && each.value.statistic == "Sum" ? 1 : each.value.minutes
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# The nodes' log lines are JSON objects.
resource "aws_cloudwatch_log_metric_filter" "errors" {
  for_each       = var.log_groups
  name           = "${var.name}-${each.key}-errors"
  log_group_name = each.value
  pattern        = "{ $.level = \"ERROR\" || $.level = \"CRITICAL\" }"
  metric_transformation {
    namespace     = local.logs
    name          = "Errors-${each.key}"
    value         = "1"
    default_value = "0"
  }
}

# The api node that recovers tells it twice a minute.
resource "aws_cloudwatch_log_metric_filter" "queue_age" {
  name           = "${var.name}-queue-age"
  log_group_name = var.log_groups["api"]
  pattern        = "{ $.queueAgeSeconds = * }"
  metric_transformation {
    namespace = local.logs
    name      = "QueueAgeSeconds"
    value     = "$.queueAgeSeconds"
    unit      = "Seconds"
  }
}

resource "aws_cloudwatch_log_metric_filter" "fleet" {
  for_each       = toset(["fleetRunning", "fleetLaunching", "fleetCostPerHour", "fleetProblem", "tlsDaysLeft"])
  name           = "${var.name}-${each.key}"
  log_group_name = var.log_groups["controller"]
  pattern        = "{ $.${each.key} = * }"
  metric_transformation {
    namespace = local.logs
    name      = each.key
    value     = "$.${each.key}"
  }
}

# Fargate's bill follows by hours; this one counts what is forecast for the month.
resource "aws_budgets_budget" "this" {
  count        = var.email != "" && var.monthly_budget_usd > 0 ? 1 : 0
  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"
  # Only what carries our tag. It must be activated once as a cost allocation tag in the account's billing settings.
  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:system$%s", var.name)]
  }
  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }
    content {
      comparison_operator        = "GREATER_THAN"
      notification_type          = notification.key
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = [var.email]
    }
  }
}
