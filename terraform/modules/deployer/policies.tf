# Three policies, since one may have 6,144 characters. An action on every resource either knows none, or makes things whose
# ids AWS picks; then it is limited to the region.

locals {
  region_arn = "${var.region}:${local.account}"
  in_region  = { test = "StringEquals", variable = "aws:RequestedRegion", values = [var.region] }
}

data "aws_iam_policy_document" "compute" {
  statement {
    sid = "Network"
    actions = [
      "ec2:AllocateAddress", "ec2:AssociateRouteTable", "ec2:AttachInternetGateway", "ec2:AuthorizeSecurityGroup*",
      "ec2:CreateInternetGateway", "ec2:CreateLaunchTemplate*", "ec2:CreateNatGateway", "ec2:CreateRoute*",
      "ec2:CreateSecurityGroup", "ec2:CreateSubnet", "ec2:CreateTags", "ec2:CreateVpc*", "ec2:DeleteInternetGateway",
      "ec2:DeleteLaunchTemplate*", "ec2:DeleteNatGateway", "ec2:DeleteRoute*", "ec2:DeleteSecurityGroup",
      "ec2:DeleteSubnet", "ec2:DeleteTags", "ec2:DeleteVpc*", "ec2:Describe*", "ec2:DetachInternetGateway",
      "ec2:DisassociateAddress", "ec2:DisassociateRouteTable", "ec2:GetInstanceTypesFromInstanceRequirements",
      "ec2:ModifyLaunchTemplate", "ec2:ModifySecurityGroupRules", "ec2:ModifySubnetAttribute", "ec2:ModifyVpc*",
      "ec2:ReleaseAddress", "ec2:ReplaceRoute*", "ec2:RevokeSecurityGroup*", "ec2:RunInstances",
      "ec2:UpdateSecurityGroupRuleDescriptions*",
    ]
    resources = ["*"]
    condition {
      test     = local.in_region.test
      variable = local.in_region.variable
      values   = local.in_region.values
    }
  }
  statement {
    sid = "ServicesWithoutNamesOfOurs"
    actions = [
      "acm:AddTagsToCertificate", "acm:DeleteCertificate", "acm:DescribeCertificate", "acm:ListTagsForCertificate",
      "acm:RequestCertificate",
      "application-autoscaling:DeleteScalingPolicy", "application-autoscaling:DeregisterScalableTarget",
      "application-autoscaling:DescribeScal*", "application-autoscaling:ListTagsForResource",
      "application-autoscaling:PutScalingPolicy", "application-autoscaling:RegisterScalableTarget",
      "application-autoscaling:TagResource", "application-autoscaling:UntagResource",
      "autoscaling:*AutoScalingGroup*", "autoscaling:CreateOrUpdateTags", "autoscaling:DeleteTags",
      "autoscaling:DescribeScalingActivities", "autoscaling:DescribeTags", "autoscaling:SetInstanceProtection",
      "ecs:*CapacityProvider*", "ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition",
      "ecs:ListTaskDefinitions", "ecs:ListTasks", "ecs:RegisterTaskDefinition",
      "elasticloadbalancing:Describe*",
      "servicediscovery:*Namespace*", "servicediscovery:*Service", "servicediscovery:GetOperation",
      "servicediscovery:List*", "servicediscovery:TagResource", "servicediscovery:UntagResource",
      "servicediscovery:DeregisterInstance",
      "wafv2:AssociateWebACL", "wafv2:DisassociateWebACL", "wafv2:GetWebACLForResource", "wafv2:ListWebACLs",
      "wafv2:ListTagsForResource",
    ]
    resources = ["*"]
    condition {
      test     = local.in_region.test
      variable = local.in_region.variable
      values   = local.in_region.values
    }
  }
  statement {
    sid     = "Containers"
    actions = ["ecs:*"]
    resources = [
      for kind in ["cluster/${var.name}*", "service/${var.name}*", "task/${var.name}*", "task-definition/${var.name}*"] :
      "arn:${local.partition}:ecs:${local.region_arn}:${kind}"
    ]
  }
  statement {
    sid     = "LoadBalancer"
    actions = ["elasticloadbalancing:*"]
    resources = concat(
      [for kind in ["loadbalancer", "listener", "listener-rule"] : "arn:${local.partition}:elasticloadbalancing:${local.region_arn}:${kind}/app/${var.name}*"],
      ["arn:${local.partition}:elasticloadbalancing:${local.region_arn}:targetgroup/${var.name}*"],
    )
  }
  statement {
    sid       = "Firewall"
    actions   = ["wafv2:*"]
    resources = [for kind in ["webacl/${var.name}*", "managedruleset/*"] : "arn:${local.partition}:wafv2:${local.region_arn}:regional/${kind}"]
  }
}

data "aws_iam_policy_document" "data" {
  #checkov:skip=CKV_AWS_356:the actions on every resource know none, or list
  statement {
    sid = "Buckets"
    # A bucket's settings and its contents, which a destroy deletes.
    actions   = ["s3:*"]
    resources = [for kind in ["results", "access-logs"] : "arn:${local.partition}:s3:::${var.name}*-${kind}-${local.account}*"]
  }
  dynamic "statement" {
    for_each = var.state_bucket == "" ? [] : [var.state_bucket]
    content {
      sid = "State"
      # The lock is an object that is deleted.
      actions   = ["s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
      resources = ["arn:${local.partition}:s3:::${statement.value}", "arn:${local.partition}:s3:::${statement.value}/*"]
    }
  }
  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:*"]
    resources = ["arn:${local.partition}:secretsmanager:${local.region_arn}:secret:${var.name}*/*"]
  }
  statement {
    sid     = "Redis"
    actions = ["elasticache:*"]
    resources = [
      for kind in ["replicationgroup:${var.name}*", "cluster:${var.name}*", "subnetgroup:${var.name}*", "parametergroup:*", "snapshot:${var.name}*"] :
      "arn:${local.partition}:elasticache:${local.region_arn}:${kind}"
    ]
  }
  statement {
    sid       = "Images"
    actions   = ["ecr:*"]
    resources = ["arn:${local.partition}:ecr:${local.region_arn}:repository/${var.name}*/*"]
  }
  statement {
    sid     = "Logs"
    actions = ["logs:*"]
    resources = [
      for group in ["/${var.name}*", "/aws/events/${var.name}*", "aws-waf-logs-${var.name}*"] :
      "arn:${local.partition}:logs:${local.region_arn}:log-group:${group}"
    ]
  }
  statement {
    sid     = "AlarmsAndEvents"
    actions = ["cloudwatch:*", "sns:*", "events:*"]
    resources = [
      "arn:${local.partition}:cloudwatch:${local.region_arn}:alarm:${var.name}*",
      "arn:${local.partition}:cloudwatch::${local.account}:dashboard/${var.name}*",
      "arn:${local.partition}:sns:${local.region_arn}:${var.name}*",
      "arn:${local.partition}:events:${local.region_arn}:rule/${var.name}*",
    ]
  }
  statement {
    sid = "WithoutResources"
    actions = [
      "ecr:GetAuthorizationToken", "logs:DeleteResourcePolicy", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies",
      "logs:ListTagsForResource", "logs:PutResourcePolicy", "logs:*LogDelivery*", "cloudwatch:DescribeAlarms",
      "cloudwatch:ListTagsForResource", "servicequotas:GetServiceQuota", "servicequotas:GetAWSDefaultServiceQuota",
      "sns:GetSubscriptionAttributes", "sns:Unsubscribe", "sts:GetCallerIdentity",
    ]
    resources = ["*"]
  }
  statement {
    sid       = "Budget"
    actions   = ["budgets:ModifyBudget", "budgets:ViewBudget", "budgets:ListTagsForResource", "budgets:TagResource", "budgets:UntagResource"]
    resources = ["arn:${local.partition}:budgets::${local.account}:budget/${var.name}*"]
  }
  statement {
    sid       = "ImageOfMachines"
    actions   = ["ssm:GetParameter"]
    resources = ["arn:${local.partition}:ssm:${var.region}::parameter/aws/service/ecs/optimized-ami/*"]
  }
}

data "aws_iam_policy_document" "roles" {
  #checkov:skip=CKV_AWS_356:Cloud Map makes a private zone whose id is not known before
  #checkov:skip=CKV_AWS_111:the same
  statement {
    sid = "SeeAndRemoveRoles"
    actions = [
      "iam:DeleteInstanceProfile", "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:GetInstanceProfile", "iam:GetRole",
      "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies",
      "iam:AddRoleToInstanceProfile", "iam:CreateInstanceProfile", "iam:RemoveRoleFromInstanceProfile",
      "iam:TagInstanceProfile", "iam:TagRole", "iam:UntagInstanceProfile", "iam:UntagRole", "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRoleDescription",
    ]
    resources = local.own_roles
  }
  statement {
    sid = "MakeRoles"
    actions = [
      "iam:AttachRolePolicy", "iam:CreateRole", "iam:DetachRolePolicy", "iam:PutRolePermissionsBoundary",
      "iam:PutRolePolicy",
    ]
    resources = local.own_roles
    dynamic "condition" {
      for_each = var.permissions_boundary_arn == "" ? [] : [var.permissions_boundary_arn]
      content {
        test     = "StringEquals"
        variable = "iam:PermissionsBoundary"
        values   = [condition.value]
      }
    }
  }
  statement {
    sid       = "PassRoles"
    actions   = ["iam:PassRole"]
    resources = local.own_roles
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com", "ec2.amazonaws.com"]
    }
  }
  # Without it the deployer could give its own role more, or take the boundary off one of the system's.
  statement {
    sid       = "NotItself"
    effect    = "Deny"
    actions   = ["iam:AttachRolePolicy", "iam:DeleteRolePermissionsBoundary", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy"]
    resources = ["arn:${local.partition}:iam::${local.account}:role${var.role_path}${var.name}-deployer"]
  }
  statement {
    sid       = "RolesOfServices"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["arn:${local.partition}:iam::${local.account}:role/aws-service-role/*"]
    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values = [
        "autoscaling.amazonaws.com", "ecs.amazonaws.com", "ecs.application-autoscaling.amazonaws.com",
        "elasticache.amazonaws.com", "elasticloadbalancing.amazonaws.com", "wafv2.amazonaws.com",
      ]
    }
  }
  # Cloud Map makes a private zone in the deployer's name.
  statement {
    sid = "PrivateNames"
    actions = [
      "route53:AssociateVPCWithHostedZone", "route53:CreateHostedZone", "route53:DeleteHostedZone", "route53:GetHostedZone",
      "route53:ListHostedZonesByName",
    ]
    resources = ["*"]
  }
  statement {
    sid       = "ChangesOfNames"
    actions   = ["route53:GetChange"]
    resources = ["arn:${local.partition}:route53:::change/*"]
  }
  dynamic "statement" {
    for_each = length(var.hosted_zone_ids) > 0 ? [var.hosted_zone_ids] : []
    content {
      sid       = "NameOfTheApi"
      actions   = ["route53:ChangeResourceRecordSets", "route53:GetHostedZone", "route53:ListResourceRecordSets"]
      resources = [for zone in statement.value : "arn:${local.partition}:route53:::hostedzone/${zone}"]
    }
  }
}

locals {
  own_roles = [
    for kind in ["role", "instance-profile"] : "arn:${local.partition}:iam::${local.account}:${kind}${var.role_path}${var.name}-*"
  ]
}
