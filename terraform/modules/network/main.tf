# The VPC and its subnets over the zones, unless an existing VPC is given; the way out is NAT or endpoints.

locals {
  create = var.existing == null
  zones  = local.create ? slice(data.aws_availability_zones.available[0].names, 0, var.zone_count) : []
  nat    = local.create && var.egress == "nat"

  vpc_id             = local.create ? aws_vpc.this[0].id : var.existing.vpc_id
  public_subnet_ids  = local.create ? aws_subnet.public[*].id : var.existing.public_subnet_ids
  private_subnet_ids = local.create ? aws_subnet.private[*].id : var.existing.private_subnet_ids

  # Where the load balancer stands.
  entry_subnet_ids   = var.internal ? local.private_subnet_ids : local.public_subnet_ids
  entry_subnet_cidrs = local.create ? (var.internal ? aws_subnet.private[*].cidr_block : aws_subnet.public[*].cidr_block) : data.aws_subnet.entry[*].cidr_block
}

data "aws_subnet" "entry" {
  count = local.create ? 0 : length(local.entry_subnet_ids)
  id    = local.entry_subnet_ids[count.index]
}

data "aws_availability_zones" "available" {
  count = local.create ? 1 : 0
  state = "available"
  filter {
    # Local and Wavelength zones have neither Fargate nor ElastiCache.
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
  exclude_zone_ids = var.excluded_zone_ids
}

resource "aws_vpc" "this" {
  count                = local.create ? 1 : 0
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

# Adopted so that it allows nothing: a resource that names no group of its own would get it.
resource "aws_default_security_group" "closed" {
  count  = local.create ? 1 : 0
  vpc_id = aws_vpc.this[0].id
}

resource "aws_internet_gateway" "this" {
  count  = local.create ? 1 : 0
  vpc_id = aws_vpc.this[0].id
  tags   = { Name = var.name }
}

# Public: the load balancer and the NAT gateway, nothing else.
resource "aws_subnet" "public" {
  count             = length(local.zones)
  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.cidr, 8, count.index)
  tags              = { Name = "${var.name}-public-${local.zones[count.index]}" }
}

resource "aws_route_table" "public" {
  count  = local.create ? 1 : 0
  vpc_id = aws_vpc.this[0].id
  tags   = { Name = "${var.name}-public" }
}

resource "aws_route" "public" {
  count                  = local.create ? 1 : 0
  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "public" {
  count          = length(local.zones)
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public[0].id
}

# Private: every node and Redis. A /20 each (with the default /16), since every Fargate task takes an address.
resource "aws_subnet" "private" {
  count             = length(local.zones)
  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.cidr, 4, count.index + 1)
  tags              = { Name = "${var.name}-private-${local.zones[count.index]}" }
}

resource "aws_route_table" "private" {
  count  = length(local.zones)
  vpc_id = aws_vpc.this[0].id
  tags   = { Name = "${var.name}-private-${local.zones[count.index]}" }
}

resource "aws_route_table_association" "private" {
  count          = length(local.zones)
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private[count.index].id
}

# One gateway for all zones is the cheap choice: when its zone fails, nodes in the others cannot pull images or write logs.
resource "aws_eip" "nat" {
  count  = local.nat ? (var.nat_per_zone ? length(local.zones) : 1) : 0
  domain = "vpc"
  tags   = { Name = "${var.name}-nat-${count.index}" }
}

resource "aws_nat_gateway" "this" {
  count         = length(aws_eip.nat)
  allocation_id = aws_eip.nat[count.index].id
  subnet_id     = aws_subnet.public[count.index].id
  tags          = { Name = "${var.name}-${count.index}" }
  depends_on    = [aws_internet_gateway.this]
}

resource "aws_route" "nat" {
  count                  = local.nat ? length(local.zones) : 0
  route_table_id         = aws_route_table.private[count.index].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[var.nat_per_zone ? count.index : 0].id
}
