"""Another client of a secret: boto3, or Keeper's own storage.

usage: peer.py ACTION SECRET [VALUE ...]; AWS_ENDPOINT_URL names the service.
"""

import base64
import sys

import boto3
from keeper_secrets_manager_core.configkeys import ConfigKeys
from keeper_secrets_manager_storage.storage_aws_secret import AwsSecretStorage


def storage(arn):
    """Keeper's storage. Outside EC2 it requires a full ARN."""
    made = AwsSecretStorage(arn)
    made.from_default_config(arn)
    return made


def main(action, secret, *values):
    client = boto3.client("secretsmanager")
    if action == "create":
        print(client.create_secret(Name=secret, SecretString=values[0])["ARN"])
    elif action == "put":
        client.put_secret_value(SecretId=secret, SecretString=values[0])
    elif action == "put-base64":
        client.put_secret_value(SecretId=secret, SecretString=base64.b64encode(values[0].encode()).decode())
    elif action == "put-binary":
        client.put_secret_value(SecretId=secret, SecretBinary=values[0].encode())
    elif action == "get":
        print(client.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")["SecretString"])
    elif action == "storage-get":
        print(storage(secret).get(ConfigKeys.get_enum(values[0])))
    elif action == "storage-set":
        storage(secret).set(ConfigKeys.get_enum(values[0]), values[1])
    else:
        sys.exit(f"unknown action {action}")


main(*sys.argv[1:])
