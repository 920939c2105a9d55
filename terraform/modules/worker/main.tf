# The worker as a task definition only: the controller starts and stops them, and they are in no state of Terraform's.

module "node" {
  source                = "../node"
  name                  = var.name
  node                  = "worker"
  common                = var.common
  repository            = var.repository
  environment           = var.environment
  cpu                   = var.cpu
  memory_mib            = var.memory_mib
  ephemeral_storage_gib = var.ephemeral_storage_gib
  # The most that Fargate allows, and what Spot leaves after its notice.
  stop_timeout_seconds = 120
  launch_type          = var.launch_type
  policies             = { results = data.aws_iam_policy_document.results.json }
}

data "aws_iam_policy_document" "results" {
  statement {
    sid       = "WriteResults"
    actions   = ["s3:PutObject"]
    resources = ["${var.bucket_arn}/${var.bucket_prefix}/*"]
  }
}

# What the tasks themselves need, such as their own data.
resource "aws_iam_role_policy_attachment" "tasks" {
  for_each   = toset(var.policy_arns)
  role       = module.node.task_role_name
  policy_arn = each.value
}
