# One page: what clients see, what the nodes do, how full Redis is, and what went wrong.

data "aws_region" "current" {}

locals {
  graphs = [
    {
      title = "Requests a minute, and those answered with 5xx"
      stat  = "Sum"
      metrics = [
        ["AWS/ApplicationELB", "RequestCount", "LoadBalancer", var.load_balancer_dimension],
        ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "LoadBalancer", var.load_balancer_dimension],
      ]
    },
    {
      title   = "Open connections (both sides of the load balancer)"
      stat    = "Sum"
      metrics = [["AWS/ApplicationELB", "ActiveConnectionCount", "LoadBalancer", var.load_balancer_dimension]]
    },
    {
      title   = "Seconds that the oldest waiting task has waited"
      stat    = "Maximum"
      metrics = [[local.logs, "QueueAgeSeconds"]]
    },
    {
      title   = "Running nodes (samples of CPU a minute)"
      stat    = "SampleCount"
      metrics = [for node in ["api", "scheduler", "controller"] : ["AWS/ECS", "CPUUtilization", "ServiceName", node, "ClusterName", var.cluster_name]]
    },
    {
      title   = "CPU of the nodes, percent"
      stat    = "Average"
      metrics = [for node in ["api", "scheduler", "controller"] : ["AWS/ECS", "CPUUtilization", "ServiceName", node, "ClusterName", var.cluster_name]]
    },
    {
      title   = "Memory of the nodes, percent"
      stat    = "Maximum"
      metrics = [for node in ["api", "scheduler", "controller"] : ["AWS/ECS", "MemoryUtilization", "ServiceName", node, "ClusterName", var.cluster_name]]
    },
    {
      title   = "Memory of Redis, percent"
      stat    = "Maximum"
      metrics = [for member in var.redis_member_ids : ["AWS/ElastiCache", "DatabaseMemoryUsagePercentage", "CacheClusterId", member]]
    },
    {
      title   = "Errors in the logs"
      stat    = "Sum"
      metrics = [for node in keys(var.log_groups) : [local.logs, "Errors-${node}"]]
    },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = concat(
      [
        for index, graph in local.graphs : {
          type = "metric", x = 12 * (index % 2), y = 6 * floor(index / 2), width = 12, height = 6
          properties = {
            title  = graph.title, stat = graph.stat, metrics = graph.metrics
            region = data.aws_region.current.name, period = 60, view = "timeSeries"
          }
        } if length(graph.metrics) > 0
      ],
      [{
        type = "log", x = 0, y = 24, width = 24, height = 6
        properties = {
          title  = "What the controller does"
          region = data.aws_region.current.name
          query  = "SOURCE '${var.log_groups["controller"]}' | fields @timestamp, @message | sort @timestamp desc | limit 50"
          view   = "table"
        }
      }],
    )
  })
}
