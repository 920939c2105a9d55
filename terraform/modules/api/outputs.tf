output "service_name" {
  description = "Name of the ECS service."
  value       = aws_ecs_service.this.name
}

output "url" {
  description = "Address of the api. With a certificate, use a name that the certificate contains."
  value       = "${local.https ? "https" : "http"}://${aws_lb.this.dns_name}"
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

output "dns_name" {
  description = "Name of the load balancer."
  value       = aws_lb.this.dns_name
}
