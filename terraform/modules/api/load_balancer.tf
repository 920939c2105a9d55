# HTTPS where there is a certificate, and then plain HTTP only leads there.

locals {
  https           = var.certificate_arn != "" || var.domain != null
  certificate_arn = local.made_certificate ? aws_acm_certificate_validation.this[0].certificate_arn : var.certificate_arn
}

resource "aws_lb" "this" {
  name               = var.name
  load_balancer_type = "application"
  internal           = var.internal
  security_groups    = [var.load_balancer_security_group_id]
  subnets            = var.load_balancer_subnet_ids
  # How long a WebSocket or event stream may be silent. The api pings every 20 s; this is for a browser that sleeps.
  idle_timeout               = var.idle_timeout_seconds
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection
  dynamic "access_logs" {
    for_each = aws_s3_bucket.access_logs
    content {
      bucket  = access_logs.value.bucket
      enabled = true
    }
  }
  # It writes a file to the bucket before it takes it.
  depends_on = [aws_s3_bucket_policy.access_logs]
}

resource "aws_lb_target_group" "this" {
  name        = "${var.name}-api"
  port        = var.port
  protocol    = "HTTP"
  target_type = "ip"
  vpc_id      = var.vpc_id
  # A stopping node closes its sockets itself, within SHUTDOWN_SECONDS (8).
  deregistration_delay = 15
  # A node with few open sockets takes the next ones.
  load_balancing_algorithm_type = "least_outstanding_requests"
  health_check {
    # Not /readyz: while Redis is away every node would be taken out and replaced.
    path              = "/healthz"
    matcher           = "200"
    interval          = 10
    timeout           = 5
    healthy_threshold = 2
    # A minute: a node that reads a large request answers later, and replacing it would end what its clients wait for.
    unhealthy_threshold = 6
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"
  default_action {
    type             = local.https ? "redirect" : "forward"
    target_group_arn = local.https ? null : aws_lb_target_group.this.arn
    dynamic "redirect" {
      for_each = local.https ? [1] : []
      content {
        port        = "443"
        protocol    = "HTTPS"
        status_code = "HTTP_301"
      }
    }
  }
}

resource "aws_lb_listener" "https" {
  count             = local.https ? 1 : 0
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = local.certificate_arn
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }
}
