# Warnings, shown with every plan; they do not stop it.

check "keys_in_clear_text" {
  assert {
    condition     = local.https || !var.plain_http || var.authentication == "none" || var.internal
    error_message = "With plain_http and neither domain nor certificate_arn, API keys travel to the load balancer in clear text."
  }
}

check "open_to_the_world" {
  assert {
    condition     = var.authentication == "required" || var.internal || !contains(var.allowed_cidrs, "0.0.0.0/0")
    error_message = "Anyone on the internet may submit tasks, at your cost: authentication is none and allowed_cidrs contains 0.0.0.0/0."
  }
}
