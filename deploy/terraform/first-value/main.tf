# For a module that must give the secret its first value. `../main.tf` does without, which is safer.
#
# Programs write the value from then on, and Terraform must never store another one over it: hence `ignore_changes`. That is
# not enough for ever. The service drops this version when newer ones have taken its place for long enough, and Terraform
# would then make it anew, with "{}" in it. After the first apply, let Terraform forget it:
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
