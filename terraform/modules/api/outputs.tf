output "service_name" {
  description = "Name of the ECS service."
  value       = aws_ecs_service.this.name
}

output "url" {
  description = "Address of the api. With a certificate of your own and no domain, use a name that the certificate contains."
  value       = "${local.https ? "https" : "http"}://${var.domain == null ? aws_lb.this.dns_name : aws_route53_record.this[0].fqdn}"
}

output "load_balancer_zone_id" {
  description = "Zone of the load balancer, for an alias record."
  value       = aws_lb.this.zone_id
}

output "load_balancer_dimension" {
  description = "The load balancer in CloudWatch."
  value       = aws_lb.this.arn_suffix
}

output "target_group_dimension" {
  description = "The target group in CloudWatch."
  value       = aws_lb_target_group.this.arn_suffix
}

output "idle_timeout_seconds" {
  description = "Seconds after which the load balancer closes an idle connection."
  value       = aws_lb.this.idle_timeout
}

output "guards" {
  description = "What stands before the nodes: access logs, a firewall with its rules."
  value = concat(
    [for bucket in aws_s3_bucket.access_logs : "access logs"],
    flatten([for acl in aws_wafv2_web_acl.this : sort([for rule in acl.rule : "rule ${rule.name}"])]),
  )
}

output "dns_name" {
  description = "Name of the load balancer."
  value       = aws_lb.this.dns_name
}
