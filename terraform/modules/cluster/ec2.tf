# EC2 capacity for workers, where machines are cheaper or larger than Fargate's. ECS moves the group's size by itself.

data "aws_region" "current" {}
data "aws_partition" "current" {}

data "aws_ssm_parameter" "ami" {
  count = var.ec2 == null ? 0 : 1
  name  = "/aws/service/ecs/optimized-ami/amazon-linux-2023/${var.architecture == "ARM64" ? "arm64/" : ""}recommended/image_id"
}

data "aws_iam_policy_document" "ec2_assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "ec2" {
  count              = var.ec2 == null ? 0 : 1
  name               = "${var.name}-ec2"
  path               = var.role_path
  description        = "Machines of ${var.name} that run workers"
  assume_role_policy = data.aws_iam_policy_document.ec2_assume.json

  permissions_boundary = var.boundary_arn == "" ? null : var.boundary_arn
}

# AWS's own policy for ECS machines, which follows what their agent needs.
resource "aws_iam_role_policy_attachment" "ec2" {
  count      = var.ec2 == null ? 0 : 1
  role       = aws_iam_role.ec2[0].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
}

resource "aws_iam_instance_profile" "ec2" {
  count = var.ec2 == null ? 0 : 1
  name  = "${var.name}-ec2"
  role  = aws_iam_role.ec2[0].name
}

resource "aws_launch_template" "ec2" {
  count         = var.ec2 == null ? 0 : 1
  name          = "${var.name}-worker"
  description   = "Machines that run workers"
  image_id      = data.aws_ssm_parameter.ami[0].value
  instance_type = var.ec2.instance_types[0]
  # Workers have addresses and groups of their own (awsvpc); the machine itself serves nobody.
  vpc_security_group_ids = [var.instance_security_group_id]
  update_default_version = true
  iam_instance_profile {
    arn = aws_iam_instance_profile.ec2[0].arn
  }
  user_data = base64encode(join("\n", [
    "#!/bin/bash",
    "cat >> /etc/ecs/ecs.config <<END",
    "ECS_CLUSTER=${var.name}",
    # Two minutes' notice becomes SIGTERM for the workers.
    "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true",
    # A task must not take the machine's role.
    "ECS_AWSVPC_BLOCK_IMDS=true",
    "END",
    "",
  ]))
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size = 50
      volume_type = "gp3"
      encrypted   = true
    }
  }
  tag_specifications {
    resource_type = "instance"
    tags          = merge(var.tags, { Name = "${var.name}-worker" })
  }
}

resource "aws_autoscaling_group" "ec2" {
  count               = var.ec2 == null ? 0 : 1
  name                = "${var.name}-worker"
  min_size            = 0
  max_size            = var.ec2.max_instances
  vpc_zone_identifier = var.private_subnet_ids
  # ECS protects machines that run tasks.
  protect_from_scale_in = true
  force_delete          = true
  mixed_instances_policy {
    instances_distribution {
      on_demand_percentage_above_base_capacity = floor((1 - var.spot_share) * 100)
      spot_allocation_strategy                 = "price-capacity-optimized"
    }
    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.ec2[0].id
        version            = "$Latest"
      }
      dynamic "override" {
        for_each = var.ec2.instance_types
        content {
          instance_type = override.value
        }
      }
    }
  }
  tag {
    key                 = "AmazonECSManaged"
    value               = "true"
    propagate_at_launch = true
  }
  lifecycle {
    # Owned by ECS's managed scaling.
    ignore_changes = [desired_capacity]
  }
}

resource "aws_ecs_capacity_provider" "ec2" {
  count = var.ec2 == null ? 0 : 1
  name  = "${var.name}-ec2"
  auto_scaling_group_provider {
    auto_scaling_group_arn         = aws_autoscaling_group.ec2[0].arn
    managed_termination_protection = "ENABLED"
    managed_draining               = "ENABLED"
    managed_scaling {
      status                    = "ENABLED"
      target_capacity           = 100
      minimum_scaling_step_size = 1
      maximum_scaling_step_size = 10
    }
  }
}
