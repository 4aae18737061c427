# For a module that must give the secret its first value. `../main.tf` does not, which is safer.
#
# From then on, programs write the value, and Terraform must never overwrite it: hence `ignore_changes`. In the long run, that
# is not enough. The service removes this version some time after newer ones have replaced it, and Terraform would then create
# it again, with "{}" in it. So, after the first apply, let Terraform forget the version:
#
#   removed {
#     from = aws_secretsmanager_secret_version.first
#     lifecycle {
#       destroy = false
#     }
#   }

terraform {
  required_version = ">= 1.7"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "secret_arn" {
  type = string
}

resource "aws_secretsmanager_secret_version" "first" {
  secret_id     = var.secret_arn
  secret_string = "{}"

  lifecycle {
    ignore_changes = [secret_string, secret_binary, version_stages]
  }
}
