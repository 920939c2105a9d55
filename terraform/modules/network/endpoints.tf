# Ways to AWS that do not leave the VPC. The one to S3 is free, and image layers come from S3: it is always there.

locals {
  interface_endpoints = local.create && var.egress == "endpoints" ? toset(concat([
    "ecr.api",        # image manifests and the login
    "ecr.dkr",        # image pulls
    "ecs",            # the controller's RunTask, StopTask, DescribeTasks, ListTasks
    "logs",           # the nodes' logs
    "secretsmanager", # the nodes' secrets
    ],
    # The agent of EC2 machines.
    var.ec2 ? ["ecs-agent", "ecs-telemetry"] : [],
    # The agent of ECS Exec.
    var.shell ? ["ssmmessages"] : [],
  )) : toset([])
}

data "aws_region" "current" {}

resource "aws_vpc_endpoint" "s3" {
  count             = local.create ? 1 : 0
  vpc_id            = local.vpc_id
  service_name      = "com.amazonaws.${data.aws_region.current.name}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = aws_route_table.private[*].id
  tags              = { Name = "${var.name}-s3" }
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = local.interface_endpoints
  vpc_id              = local.vpc_id
  service_name        = "com.amazonaws.${data.aws_region.current.name}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = aws_subnet.private[*].id
  security_group_ids  = [aws_security_group.this["endpoints"].id]
  private_dns_enabled = true
  tags                = { Name = "${var.name}-${each.key}" }
}
