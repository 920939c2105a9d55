# A web firewall before the load balancer: AWS's own rules against known attacks, and a limit for each address.

resource "aws_wafv2_web_acl" "this" {
  count       = var.firewall == null ? 0 : 1
  name        = var.name
  description = "What reaches the api of ${var.name}"
  scope       = "REGIONAL"
  default_action {
    allow {}
  }

  rule {
    name     = "requests-of-one-address"
    priority = 0
    action {
      block {
        custom_response {
          response_code = 429
        }
      }
    }
    statement {
      rate_based_statement {
        limit                 = var.firewall.requests_per_minute
        evaluation_window_sec = 60
        aggregate_key_type    = "IP"
      }
    }
    visibility_config {
      metric_name                = "${var.name}-requests-of-one-address"
      cloudwatch_metrics_enabled = true
      sampled_requests_enabled   = true
    }
  }

  dynamic "rule" {
    for_each = local.managed_rules
    content {
      name     = rule.key
      priority = rule.value.priority
      override_action {
        none {}
      }
      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.key
          dynamic "rule_action_override" {
            for_each = rule.value.counted
            content {
              name = rule_action_override.value
              action_to_use {
                count {}
              }
            }
          }
        }
      }
      visibility_config {
        metric_name                = "${var.name}-${rule.key}"
        cloudwatch_metrics_enabled = true
        # Samples hold headers, and so API keys.
        sampled_requests_enabled = false
      }
    }
  }

  visibility_config {
    metric_name                = var.name
    cloudwatch_metrics_enabled = true
    sampled_requests_enabled   = false
  }
}

locals {
  managed_rules = {
    AWSManagedRulesAmazonIpReputationList = { priority = 1, counted = [] }
    # Exploits of Log4j among them.
    AWSManagedRulesKnownBadInputsRuleSet = { priority = 2, counted = [] }
    # Counted, not blocked: bodies are GraphQL with inputs of any size and text (a task may well take HTML or a path), and
    # the api has limits of its own for them.
    AWSManagedRulesCommonRuleSet = {
      priority = 3
      counted  = ["SizeRestrictions_BODY", "CrossSiteScripting_BODY", "GenericLFI_BODY", "GenericRFI_BODY", "EC2MetaDataSSRF_BODY"]
    }
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  count        = length(aws_wafv2_web_acl.this)
  resource_arn = aws_lb.this.arn
  web_acl_arn  = aws_wafv2_web_acl.this[0].arn
}

resource "aws_cloudwatch_log_group" "firewall" {
  count = length(aws_wafv2_web_acl.this)
  # WAF writes only to groups with this prefix.
  name              = "aws-waf-logs-${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn == "" ? null : var.kms_key_arn
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  count                   = length(aws_wafv2_web_acl.this)
  resource_arn            = aws_wafv2_web_acl.this[0].arn
  log_destination_configs = [aws_cloudwatch_log_group.firewall[0].arn]
  # Only what was blocked, and no key in it.
  logging_filter {
    default_behavior = "DROP"
    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"
      condition {
        action_condition {
          action = "BLOCK"
        }
      }
    }
  }
  dynamic "redacted_fields" {
    for_each = ["authorization", "cookie", "x-api-key"]
    content {
      single_header {
        name = redacted_fields.value
      }
    }
  }
  # Links to results and files carry their signature there.
  redacted_fields {
    query_string {}
  }
}
