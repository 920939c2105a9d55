output "alarm_topic_arn" {
  description = "SNS topic of all alarms."
  value       = aws_sns_topic.alarms.arn
}

output "alarm_topic_key" {
  description = "KMS key of the topic: none, since CloudWatch could not use it."
  value       = aws_sns_topic.alarms.kms_master_key_id
}

output "alarm_names" {
  description = "Names of all alarms."
  value       = sort([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name])
}

output "dashboard_url" {
  description = "The dashboard in AWS's console."
  value       = "https://${data.aws_region.current.name}.console.aws.amazon.com/cloudwatch/home?region=${data.aws_region.current.name}#dashboards/dashboard/${aws_cloudwatch_dashboard.this.dashboard_name}"
}

output "has_budget" {
  description = "Whether there is a budget."
  value       = length(aws_budgets_budget.this) > 0
}
