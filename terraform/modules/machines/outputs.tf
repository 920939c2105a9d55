output "capacity_provider" {
  description = "The capacity provider of the machines."
  value       = aws_ecs_capacity_provider.this.name
}

output "shape" {
  description = "What the machines are, for tests."
  value = {
    image_parameter    = data.aws_ssm_parameter.ami.name
    disk               = one(aws_launch_template.this.block_device_mappings).ebs[0]
    metadata           = one(aws_launch_template.this.metadata_options)
    public_address     = one(aws_launch_template.this.network_interfaces).associate_public_ip_address
    max_instances      = aws_autoscaling_group.this.max_size
    on_demand_percent  = one(aws_autoscaling_group.this.mixed_instances_policy).instances_distribution[0].on_demand_percentage_above_base_capacity
    termination        = one(aws_ecs_capacity_provider.this.auto_scaling_group_provider).managed_termination_protection
    draining           = one(aws_ecs_capacity_provider.this.auto_scaling_group_provider).managed_draining
    scaling            = one(aws_ecs_capacity_provider.this.auto_scaling_group_provider).managed_scaling[0].status
    attached_role_name = aws_iam_instance_profile.this.role
  }
}
