# The name under which clients reach the api, and its certificate, which Route 53 proves to ACM and which renews itself.

resource "aws_acm_certificate" "this" {
  count             = local.made_certificate ? 1 : 0
  domain_name       = var.domain.name
  validation_method = "DNS"
  lifecycle {
    create_before_destroy = true
  }
}

locals {
  made_certificate = var.domain != null && var.certificate_arn == ""
  # One name, one proof.
  proof = one(flatten([for certificate in aws_acm_certificate.this : tolist(certificate.domain_validation_options)]))
}

resource "aws_route53_record" "proof" {
  count           = local.made_certificate ? 1 : 0
  zone_id         = var.domain.zone_id
  name            = local.proof.resource_record_name
  type            = local.proof.resource_record_type
  records         = [local.proof.resource_record_value]
  ttl             = 60
  allow_overwrite = true
}

# Waits until the certificate can be used.
resource "aws_acm_certificate_validation" "this" {
  count                   = local.made_certificate ? 1 : 0
  certificate_arn         = aws_acm_certificate.this[0].arn
  validation_record_fqdns = [aws_route53_record.proof[0].fqdn]
}

resource "aws_route53_record" "this" {
  count   = var.domain == null ? 0 : 1
  zone_id = var.domain.zone_id
  name    = var.domain.name
  type    = "A"
  alias {
    name                   = aws_lb.this.dns_name
    zone_id                = aws_lb.this.zone_id
    evaluate_target_health = true
  }
}
