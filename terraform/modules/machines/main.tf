# EC2 machines for the workers of one pool: with GPUs, or where they are cheaper or larger than Fargate's. ECS moves the
# group's size by itself, from 0.

# AWS publishes no ARM64 variant with GPU drivers.
data "aws_ssm_parameter" "ami" {
  name = "/aws/service/ecs/optimized-ami/amazon-linux-2023/${var.gpu ? "gpu/" : var.architecture == "ARM64" ? "arm64/" : ""}recommended/image_id"
}

resource "aws_launch_template" "this" {
  name                   = var.name
  description            = "Machines that run workers"
  image_id               = data.aws_ssm_parameter.ami.value
  instance_type          = var.instance_types[0]
  update_default_version = true
  # Workers have addresses and groups of their own (awsvpc); the machine itself serves nobody.
  network_interfaces {
    associate_public_ip_address = false
    security_groups             = [var.security_group_id]
    delete_on_termination       = true
  }
  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }
  user_data = base64encode(join("\n", concat(
    [
      "#!/bin/bash",
      "cat >> /etc/ecs/ecs.config <<END",
      "ECS_CLUSTER=${var.cluster_name}",
      # The notice of Spot makes the machine drain, and the controller stops its workers.
      "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true",
      # A task must not take the machine's role.
      "ECS_AWSVPC_BLOCK_IMDS=true",
    ],
    var.gpu ? ["ECS_ENABLE_GPU_SUPPORT=true"] : [],
    ["END", ""],
  )))
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size           = var.disk_gib
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }
  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume", "network-interface"])
    content {
      resource_type = tag_specifications.value
      tags          = merge(var.tags, { Name = var.name })
    }
  }
}

resource "aws_autoscaling_group" "this" {
  name                = var.name
  min_size            = 0
  max_size            = var.max_instances
  vpc_zone_identifier = var.subnet_ids
  # ECS protects machines that run tasks.
  protect_from_scale_in = true
  force_delete          = true
  mixed_instances_policy {
    instances_distribution {
      on_demand_percentage_above_base_capacity = 100 - floor(var.spot_share * 100 + 0.5)
      spot_allocation_strategy                 = "price-capacity-optimized"
    }
    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.this.id
        version            = "$Latest"
      }
      dynamic "override" {
        for_each = var.instance_types
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
  # A machine that starts before its role may register never joins the cluster.
  depends_on = [aws_iam_role_policy.this]
}

resource "aws_ecs_capacity_provider" "this" {
  name = var.name
  auto_scaling_group_provider {
    auto_scaling_group_arn         = aws_autoscaling_group.this.arn
    managed_termination_protection = "ENABLED"
    # What replaces a machine waits until its workers have left it: the controller sees that it drains.
    managed_draining = "ENABLED"
    managed_scaling {
      status                    = "ENABLED"
      target_capacity           = 100
      minimum_scaling_step_size = 1
      maximum_scaling_step_size = 10
    }
  }
}
