variable "name" {
  type        = string
  description = "Prefix of every name."
}

variable "cidr" {
  type        = string
  description = "Address range of the VPC that is made."
}

variable "zone_count" {
  type        = number
  description = "Availability zones that the VPC spans."
}

variable "excluded_zone_ids" {
  type        = list(string)
  description = "Availability zones, by their ids, that the VPC leaves out."
}

variable "internal" {
  type        = bool
  description = "Whether the load balancer stands in the private subnets."
}

variable "egress" {
  type        = string
  description = "`nat` or `endpoints`: how private subnets reach AWS."
}

variable "nat_per_zone" {
  type        = bool
  description = "A NAT gateway in each zone rather than one."
}

variable "existing" {
  type = object({
    vpc_id             = string
    private_subnet_ids = list(string)
    public_subnet_ids  = list(string)
  })
  description = "A VPC to use instead of making one."
}

variable "ec2" {
  type        = bool
  description = "Whether EC2 machines run workers."
}

variable "shell" {
  type        = bool
  description = "Whether ECS Exec opens shells in nodes."
}

variable "allowed_cidrs" {
  type        = list(string)
  description = "Address ranges of clients."
}

variable "entry_ports" {
  type        = list(number)
  description = "Ports on which the load balancer listens."
}

variable "api_port" {
  type        = number
  description = "Port of the api nodes."
}

variable "scheduler_port" {
  type        = number
  description = "Port of the Dask scheduler."
}

variable "redis_port" {
  type        = number
  description = "Port of Redis."
}
