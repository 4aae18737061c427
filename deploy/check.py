"""Checks the files of this folder without an account. `cargo xtask ci` runs it with the packages of requirements.txt.

- The policies in iam/ pass parliament: IAM knows their actions, ARNs and conditions.
- cloudformation.yaml passes cfn-lint.
- The Terraform modules parse.
- The roles in both allow exactly what the policies allow.
- Neither overwrites the value that programs have written.
"""

import json
import subprocess
import sys
from pathlib import Path

import cfnlint.decode
import hcl2
import parliament

HERE = Path(__file__).parent
TEMPLATE = HERE / "cloudformation.yaml"
MODULE = HERE / "terraform" / "main.tf"
# The policies of each role.
ROLES = {"reader": ("read", "kms-read"), "writer": ("write", "kms-write")}
# Additional policies of both roles if the secret has a replica.
REPLICA = ("read-replica", "kms-read-replica")
# Longer ones first, because some contain others.
PLACEHOLDERS = {
    "REPLICA-REGION": "us-west-2",
    "REPLICA-KEY-ID": "4321dcba-12ab-34cd-56ef-1234567890ab",
    "REGION": "us-east-1",
    "ACCOUNT": "111122223333",
    "KEY-ID": "1234abcd-12ab-34cd-56ef-1234567890ab",
}


def as_list(value):
    return value if isinstance(value, list) else [value]


def summary(sid, actions, conditions):
    return sid, tuple(sorted(actions)), tuple(sorted(conditions))


def of_json(document):
    """The permissions of a policy's statements, without the resources, which each file spells differently."""
    for statement in document["Statement"]:
        if statement["Effect"] != "Allow":
            raise ValueError(f"{statement['Sid']} does not allow")
        tests = statement.get("Condition", {})
        keys = [(test, key) for test, keys in tests.items() for key in keys]
        yield summary(statement["Sid"], as_list(statement["Action"]), keys)


def of_terraform(blocks):
    text = lambda quoted: quoted.strip('"')
    for statement in blocks:
        keys = [(text(block["test"]), text(block["variable"])) for block in statement.get("condition", [])]
        yield summary(text(statement["sid"]), map(text, statement["actions"]), keys)


def policies(problems):
    """Lints each file in iam/, and returns its statements."""
    found = {}
    for path in sorted((HERE / "iam").glob("*.json")):
        text = path.read_text()
        found[path.stem] = list(of_json(json.loads(text)))
        for placeholder, value in PLACEHOLDERS.items():
            text = text.replace(placeholder, value)
        findings = parliament.analyze_policy_string(text).findings
        problems += [f"iam/{path.name}: {finding}" for finding in findings]
    print(f"parliament: {len(found)} policies")
    return found


def overwriting(resources):
    """Yields a problem for each resource that would overwrite the configuration, now or in a later update."""
    secret = resources["Config"]
    if secret["Properties"].get("SecretString") != "{}":
        yield f'{TEMPLATE.name}: the first value must remain "{{}}": a change of it would overwrite the configuration'
    if {secret.get("DeletionPolicy"), secret.get("UpdateReplacePolicy")} != {"Retain"}:
        yield f"{TEMPLATE.name}: the secret must be retained"
    for path in sorted(MODULE.parent.rglob("*.tf")):
        with path.open() as file:
            blocks = hcl2.load(file)
        for resource in blocks.get("resource", []):
            for version in resource.get('"aws_secretsmanager_secret_version"', {}).values():
                lifecycle = version.get("lifecycle", [{}])[0]
                ignored = {reference.strip("${}") for reference in lifecycle.get("ignore_changes", [])}
                if not {"secret_string", "version_stages"} <= ignored:
                    yield f"{path.relative_to(HERE)}: without ignore_changes, it overwrites the configuration"
        print(f"hcl2: {path.relative_to(HERE)}")


def main():
    problems = []
    wanted = policies(problems)

    linted = subprocess.run([Path(sys.executable).with_name("cfn-lint"), TEMPLATE], check=False)
    print(f"cfn-lint: {TEMPLATE.name}")
    if linted.returncode != 0:
        problems.append(f"{TEMPLATE.name}: cfn-lint has findings")

    with MODULE.open() as file:
        blocks = hcl2.load(file)
    documents = {
        name.strip('"'): block["statement"]
        for data in blocks["data"]
        for name, block in data.get('"aws_iam_policy_document"', {}).items()
    }
    resources = cfnlint.decode.decode(TEMPLATE)[0]["Resources"]
    problems += overwriting(resources)
    for role, names in {**ROLES, "replica": REPLICA}.items():
        allowed = sorted(statement for name in names for statement in wanted[name])
        if role in ROLES:
            of_role = resources[f"{role.title()}Role"]["Properties"]["Policies"]
        else:
            of_role = [resources["ReplicaPolicy"]["Properties"]]
        in_template = sorted(entry for policy in of_role for entry in of_json(policy["PolicyDocument"]))
        in_module = sorted(of_terraform(documents[role]))
        for file, found in ((TEMPLATE, in_template), (MODULE, in_module)):
            if found != allowed:
                problems.append(f"{file.name}: the {role} role allows {found}, but iam/ allows {allowed}")
    print(f"{len(ROLES)} roles and their replica's policy compared")

    for problem in problems:
        print(f"error: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
