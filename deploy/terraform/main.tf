# A secret for a Keeper Secrets Manager configuration, its KMS key, and a role that reads it and one that writes it.
#
# On purpose, this module gives the secret no value. An `aws_secretsmanager_secret_version` stands for one version: once the
# service has removed that version (it keeps about 100), `terraform apply` would overwrite the configuration with the first
# value. Store the first value yourself, once:
#
#   aws secretsmanager put-secret-value --secret-id ksm-config --secret-string '{}'

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "secret_name" {
  type    = string
  default = "ksm-config"
}

variable "trusted_service" {
  description = "The service that runs the programs: ec2.amazonaws.com, ecs-tasks.amazonaws.com or lambda.amazonaws.com. For EKS Pod Identity, the trust policy also needs sts:TagSession."
  type        = string
  default     = "lambda.amazonaws.com"
}

variable "replica_region" {
  description = "A region with a replica of the secret, to start from while this region is down; none if null"
  type        = string
  default     = null
}

variable "replica_key_arn" {
  description = "The ARN of the replica's KMS key, in the replica's region; required with replica_region"
  type        = string
  default     = null
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

resource "aws_kms_key" "config" {
  description         = "Encrypts the secret ${var.secret_name}"
  enable_key_rotation = true

  lifecycle {
    # A secret whose key is deleted can never be read again.
    prevent_destroy = true
  }
}

resource "aws_secretsmanager_secret" "config" {
  name       = var.secret_name
  kms_key_id = aws_kms_key.config.arn

  dynamic "replica" {
    for_each = var.replica_region[*]

    content {
      region     = replica.value
      kms_key_id = var.replica_key_arn
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = [var.trusted_service]
    }
  }
}

locals {
  via_service = "secretsmanager.${data.aws_region.current.id}.${data.aws_partition.current.dns_suffix}"
}

# For programs that only read, opened with read_only().
data "aws_iam_policy_document" "reader" {
  statement {
    sid       = "ReadKsmConfig"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.config.arn]
  }

  statement {
    sid       = "DecryptKsmConfig"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.config.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [local.via_service]
    }
  }
}

resource "aws_iam_role" "reader" {
  name_prefix        = "ksm-config-reader-"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "reader" {
  role   = aws_iam_role.reader.id
  policy = data.aws_iam_policy_document.reader.json
}

# For programs that bind or write.
data "aws_iam_policy_document" "writer" {
  statement {
    sid       = "ReadAndWriteKsmConfig"
    actions   = ["secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"]
    resources = [aws_secretsmanager_secret.config.arn]
  }

  statement {
    sid       = "EncryptKsmConfig"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.config.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [local.via_service]
    }
  }
}

resource "aws_iam_role" "writer" {
  name_prefix        = "ksm-config-writer-"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "writer" {
  role   = aws_iam_role.writer.id
  policy = data.aws_iam_policy_document.writer.json
}

# For programs opened with fallback_regions().
data "aws_iam_policy_document" "replica" {
  statement {
    sid       = "ReadKsmConfigReplica"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = ["arn:${data.aws_partition.current.partition}:secretsmanager:${coalesce(var.replica_region, "none")}:${data.aws_caller_identity.current.account_id}:secret:${var.secret_name}-??????"]
  }

  statement {
    sid       = "DecryptKsmConfigReplica"
    actions   = ["kms:Decrypt"]
    resources = [coalesce(var.replica_key_arn, "none")]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["secretsmanager.${coalesce(var.replica_region, "none")}.${data.aws_partition.current.dns_suffix}"]
    }
  }
}

resource "aws_iam_role_policy" "replica" {
  for_each = var.replica_region == null ? {} : { reader = aws_iam_role.reader.id, writer = aws_iam_role.writer.id }

  role   = each.value
  policy = data.aws_iam_policy_document.replica.json
}

output "secret_arn" {
  description = "The secret ID to pass to the programs, for example in KSM_AWS_SECRET"
  value       = aws_secretsmanager_secret.config.arn
}

output "reader_role_arn" {
  value = aws_iam_role.reader.arn
}

output "writer_role_arn" {
  value = aws_iam_role.writer.arn
}
