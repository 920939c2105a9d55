output "vpc_id" {
  description = "The VPC, created or existing."
  value       = local.vpc_id
}

output "private_subnet_ids" {
  description = "Subnets of the nodes and of Redis."
  value       = local.private_subnet_ids
  # A node that starts before the way out exists cannot pull its image.
  depends_on = [aws_route.nat, aws_route_table_association.private, aws_vpc_endpoint.s3, aws_vpc_endpoint.interface]
}

output "entry_subnet_ids" {
  description = "Subnets of the load balancer."
  value       = local.entry_subnet_ids
}

output "entry_subnet_cidrs" {
  description = "Address ranges of the load balancer's subnets."
  value       = local.entry_subnet_cidrs
}

output "security_group_ids" {
  description = "Security groups by part: entry, api, scheduler, controller, worker, redis, endpoints."
  value       = { for name, group in aws_security_group.this : name => group.id }
  # A node with a group whose rules are not there yet cannot reach anything.
  depends_on = [
    aws_vpc_security_group_ingress_rule.flow, aws_vpc_security_group_egress_rule.flow,
    aws_vpc_security_group_egress_rule.https, aws_vpc_security_group_ingress_rule.clients,
  ]
}

output "made" {
  description = "Created parts of the network, without security groups: `<kind> <id>`."
  value = concat(
    [for id in aws_vpc.this[*].id : "vpc ${id}"],
    [for id in concat(aws_subnet.public[*].id, aws_subnet.private[*].id) : "subnet ${id}"],
    [for id in aws_nat_gateway.this[*].id : "nat ${id}"],
    [for id in concat(aws_vpc_endpoint.s3[*].id, [for endpoint in aws_vpc_endpoint.interface : endpoint.id]) : "endpoint ${id}"],
  )
}
