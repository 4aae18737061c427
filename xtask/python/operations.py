"""Every operation of Secrets Manager that the emulator has, called through one of AWS's own clients.

usage: operations.py boto3|cli; AWS_ENDPOINT_URL names the service. Credentials are in the environment.
"""

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timedelta, timezone
from io import StringIO
from re import sub

import boto3
from awscli.clidriver import create_clidriver
from botocore.exceptions import ClientError

POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                "Action": "secretsmanager:GetSecretValue",
                "Resource": "*",
            }
        ],
    }
)


class Refused(Exception):
    """An error response of the service."""


def words(name, separator):
    """CreateSecret becomes create_secret or create-secret."""
    return sub("(?!^)([A-Z])", separator + r"\1", name).lower()


def by_boto3():
    def call(operation, region="us-east-1", **members):
        client = boto3.client("secretsmanager", region_name=region)
        try:
            reply = getattr(client, words(operation, "_"))(**members)
        except ClientError as error:
            raise Refused(str(error)) from None
        assert reply.pop("ResponseMetadata")["HTTPStatusCode"] == 200
        return reply

    return call


def by_cli():
    # The program `aws` runs this driver. Starting it each time would take half a second.
    driver = create_clidriver()

    def call(operation, region="us-east-1", **members):
        arguments = ["secretsmanager", words(operation, "-"), "--region", region, "--output", "json"]
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = driver.main([*arguments, "--cli-input-json", json.dumps(members)])
        out, err = out.getvalue(), err.getvalue()
        if status and "An error occurred (" in err:
            raise Refused(err.strip())
        assert status == 0, err
        return json.loads(out or "{}", object_hook=with_dates)

    return call


def with_dates(members):
    """The members as boto3 gives them."""
    dates = [name for name in members if name.endswith("Date")]
    return {**members, **{name: datetime.fromtimestamp(members[name], timezone.utc) for name in dates}}


def refused(message, call, *args, **members):
    try:
        call(*args, **members)
    except Refused as error:
        assert message in str(error), error
    else:
        raise AssertionError(f"not refused: {args} {members}")


def main(call):
    start = datetime.now(timezone.utc) - timedelta(seconds=1)

    def recent(date):
        assert start <= date <= datetime.now(timezone.utc), date

    tags = [{"Key": "team", "Value": "red"}]
    created = call(
        "CreateSecret",
        Name="app/config",
        SecretString="one",
        Description="a secret",
        Tags=tags,
        AddReplicaRegions=[{"Region": "eu-west-1"}],
    )
    arn, first = created["ARN"], created["VersionId"]
    secret = {"SecretId": "app/config"}
    assert created["ReplicationStatus"][0]["Region"] == "eu-west-1"
    refused("(ResourceExistsException)", call, "CreateSecret", Name="app/config", SecretString="one")

    got = call("GetSecretValue", **secret)
    assert (got["ARN"], got["SecretString"], got["VersionStages"]) == (arn, "one", ["AWSCURRENT"]), got
    recent(got["CreatedDate"])
    second = call("PutSecretValue", **secret, SecretString="two", VersionStages=["AWSPENDING"])["VersionId"]
    move = {"VersionStage": "AWSCURRENT", "MoveToVersionId": second}
    refused(f"currently attached to version {first}", call, "UpdateSecretVersionStage", **secret, **move)
    call("UpdateSecretVersionStage", **secret, **move, RemoveFromVersionId=first)
    assert call("GetSecretValue", **secret, VersionStage="AWSPREVIOUS")["VersionId"] == first
    third = call("UpdateSecret", **secret, SecretString="three", Description="another")["VersionId"]
    assert call("GetSecretValue", SecretId=arn)["SecretString"] == "three"

    listed = call("ListSecretVersionIds", **secret)["Versions"]
    stages = [(version["VersionId"], version["VersionStages"]) for version in listed]
    assert stages == [(second, ["AWSPREVIOUS"]), (third, ["AWSCURRENT"])], stages
    listed = call("ListSecretVersionIds", **secret, IncludeDeprecated=True)["Versions"]
    assert [version["VersionId"] for version in listed] == [first, second, third], listed

    call("TagResource", **secret, Tags=[{"Key": "stage", "Value": "test"}])
    call("UntagResource", **secret, TagKeys=["team"])
    call("ReplicateSecretToRegions", **secret, AddReplicaRegions=[{"Region": "eu-west-2"}])
    described = call("DescribeSecret", **secret)
    assert (described["Description"], described["Tags"]) == ("another", [{"Key": "stage", "Value": "test"}]), described
    assert [replica["Status"] for replica in described["ReplicationStatus"]] == ["InSync", "InSync"], described
    recent(described["LastChangedDate"])
    call("RemoveRegionsFromReplication", **secret, RemoveReplicaRegions=["eu-west-1", "eu-west-2"])
    assert "ReplicationStatus" not in call("DescribeSecret", **secret)
    call("ReplicateSecretToRegions", **secret, AddReplicaRegions=[{"Region": "eu-west-3"}])
    assert call("GetSecretValue", region="eu-west-3", **secret)["SecretString"] == "three"
    promoted = call("StopReplicationToReplica", region="eu-west-3", **secret)["ARN"]
    assert promoted == arn.replace("us-east-1", "eu-west-3"), promoted
    call("PutSecretValue", region="eu-west-3", **secret, SecretString="promoted")
    assert call("GetSecretValue", **secret)["SecretString"] == "three"

    assert call("ValidateResourcePolicy", ResourcePolicy=POLICY)["PolicyValidationPassed"]
    call("PutResourcePolicy", **secret, ResourcePolicy=POLICY)
    assert call("GetResourcePolicy", **secret)["ResourcePolicy"] == POLICY
    call("DeleteResourcePolicy", **secret)
    assert "ResourcePolicy" not in call("GetResourcePolicy", **secret)
    malformed = "(MalformedPolicyDocumentException)"
    refused(malformed, call, "PutResourcePolicy", **secret, ResourcePolicy="{")

    for number in range(3):
        call("CreateSecret", Name=f"other{number}", SecretString="x")
    filters = [{"Key": "name", "Values": ["app/"]}]
    assert [entry["ARN"] for entry in call("ListSecrets", Filters=filters)["SecretList"]] == [arn]
    # The CLI itself follows the pages.
    page = call("ListSecrets", MaxResults=2)
    names = [entry["Name"] for entry in page["SecretList"]]
    while token := page.get("NextToken"):
        page = call("ListSecrets", MaxResults=2, NextToken=token)
        names += [entry["Name"] for entry in page["SecretList"]]
    assert names == ["app/config", "other0", "other1", "other2"], names

    refused("between 7 and 30 days", call, "DeleteSecret", **secret, RecoveryWindowInDays=3)
    deleted = call("DeleteSecret", **secret, RecoveryWindowInDays=7)
    assert timedelta(days=7) <= deleted["DeletionDate"] - start < timedelta(days=8), deleted
    refused("was marked for deletion", call, "GetSecretValue", **secret)
    call("RestoreSecret", **secret)
    assert call("GetSecretValue", **secret)["SecretString"] == "three"
    call("DeleteSecret", **secret, ForceDeleteWithoutRecovery=True)
    refused("can't find the specified secret", call, "GetSecretValue", **secret)
    assert call("DeleteSecret", **secret, ForceDeleteWithoutRecovery=True)["Name"] == "app/config"
    refused("(ValidationException)", call, "GetSecretValue", SecretId="a b")


main({"boto3": by_boto3, "cli": by_cli}[sys.argv[1]]())
