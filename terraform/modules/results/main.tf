# The bucket of results that are too long for a record.

data "aws_caller_identity" "current" {}

resource "aws_s3_bucket" "this" {
  # Bucket names are shared by all of AWS; the account's number makes ours unique.
  bucket        = "${var.name}-results-${data.aws_caller_identity.current.account_id}"
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn != "" ? "aws:kms" : "AES256"
      kms_master_key_id = var.kms_key_arn == "" ? null : var.kms_key_arn
    }
    # One request to KMS for many objects.
    bucket_key_enabled = var.kms_key_arn != ""
  }
}

data "aws_iam_policy_document" "tls_only" {
  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = data.aws_iam_policy_document.tls_only.json
  # S3 refuses the two at once with OperationAborted.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

# The api nodes delete what expires. This takes what they never knew of: a worker that died between blob and record.
# Results are named by their tasks, whose ids are hex digits; files ("uploads/") may be in use for longer.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  dynamic "rule" {
    for_each = var.expiration_days > 0 ? split("", "0123456789abcdef") : []
    content {
      id     = "expire-${rule.value}"
      status = "Enabled"
      filter {
        prefix = "${var.prefix}/${rule.value}"
      }
      expiration {
        days = var.expiration_days
      }
    }
  }
  rule {
    id     = "abort-uploads"
    status = "Enabled"
    filter {
      prefix = "${var.prefix}/"
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}
