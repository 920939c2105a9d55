variable "name" {
  type        = string
  description = "Prefix of every name."
}

variable "kept" {
  type        = number
  description = "Images that each repository keeps."
}
