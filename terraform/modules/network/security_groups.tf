# Who may talk to whom: one table, from which both ends' rules are made. What is not in it is not allowed.

locals {
  groups = {
    entry      = "Load balancer"
    api        = "api nodes"
    scheduler  = "Dask scheduler"
    controller = "Controller"
    worker     = "Dask workers"
    redis      = "ElastiCache"
    endpoints  = "Interface endpoints"
    instance   = "EC2 machines that run workers"
  }
  nodes = ["api", "scheduler", "controller", "worker"]
  # A machine pulls the images and sends the logs for its workers.
  reach_aws = concat(local.nodes, ["instance"])

  # from -> to, on ports. Dask's workers and their nannies listen on ports that the system picks.
  flows = merge(
    {
      "entry to api"            = { from = "entry", to = "api", first = var.api_port, last = var.api_port }
      "api to scheduler"        = { from = "api", to = "scheduler", first = var.scheduler_port, last = var.scheduler_port }
      "controller to scheduler" = { from = "controller", to = "scheduler", first = var.scheduler_port, last = var.scheduler_port }
      "worker to scheduler"     = { from = "worker", to = "scheduler", first = var.scheduler_port, last = var.scheduler_port }
      "scheduler to worker"     = { from = "scheduler", to = "worker", first = 1024, last = 65535 }
      "worker to worker"        = { from = "worker", to = "worker", first = 1024, last = 65535 }
    },
    { for node in local.nodes : "${node} to redis" => { from = node, to = "redis", first = var.redis_port, last = var.redis_port } },
    { for node in local.reach_aws : "${node} to endpoints" => { from = node, to = "endpoints", first = 443, last = 443 } },
  )
}

resource "aws_security_group" "this" {
  for_each    = local.groups
  name        = "${var.name}-${each.key}"
  description = each.value
  vpc_id      = local.vpc_id
  tags        = { Name = "${var.name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "flow" {
  for_each                     = local.flows
  security_group_id            = aws_security_group.this[each.value.to].id
  referenced_security_group_id = aws_security_group.this[each.value.from].id
  from_port                    = each.value.first
  to_port                      = each.value.last
  ip_protocol                  = "tcp"
  description                  = each.key
}

resource "aws_vpc_security_group_egress_rule" "flow" {
  for_each                     = local.flows
  security_group_id            = aws_security_group.this[each.value.from].id
  referenced_security_group_id = aws_security_group.this[each.value.to].id
  from_port                    = each.value.first
  to_port                      = each.value.last
  ip_protocol                  = "tcp"
  description                  = each.key
}

# HTTPS out: ECR, S3, logs, secrets, and the issuer of JWTs. In a VPC without NAT only S3's addresses are reached by it.
# A task that needs another port takes a rule of your own on the output `worker_security_group_id`.
resource "aws_vpc_security_group_egress_rule" "https" {
  for_each          = toset(local.reach_aws)
  security_group_id = aws_security_group.this[each.key].id
  cidr_ipv4         = "0.0.0.0/0"
  from_port         = 443
  to_port           = 443
  ip_protocol       = "tcp"
  description       = "${each.key} to AWS and the web"
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = {
    for pair in setproduct(var.allowed_cidrs, var.entry_ports) : "${pair[0]} to ${pair[1]}" => { cidr = pair[0], port = pair[1] }
  }
  security_group_id = aws_security_group.this["entry"].id
  cidr_ipv4         = each.value.cidr
  from_port         = each.value.port
  to_port           = each.value.port
  ip_protocol       = "tcp"
  description       = "clients ${each.key}"
}
