variable "name" {
  type        = string
  description = "Prefix of every name."
}

variable "kept" {
  type        = number
  description = "Number of images that each repository keeps."
}
