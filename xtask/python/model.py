"""The constraints in botocore's model of Secrets Manager, which the service at AWS_ENDPOINT_URL must enforce.

Requests that violate one constraint each must be rejected in AWS's words; requests at the limit must not be. Operations that
the service does not know are left out.
"""

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CLIENT = boto3.client("secretsmanager", config=Config(parameter_validation=False, retries={"max_attempts": 0}))
MODEL = CLIENT.meta.service_model


def valid(shape, length=None):
    """A value of this length, if it has one, that satisfies the constraints of the shape."""
    limits = shape.metadata
    length = max(limits.get("min", 0), 1) if length is None else length
    if shape.type_name == "structure":
        return {name: valid(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [valid(shape.member)] * length
    if shape.type_name == "string":
        region = "us-east-1" if shape.name == "RegionType" else ""
        return limits["enum"][0] if "enum" in limits else region or "x" * length
    return {"blob": b"x" * length, "boolean": True}.get(shape.type_name, 7)


def violations(shape):
    """Values that violate one constraint each, with AWS's message."""
    limits = shape.metadata
    longer, shorter = "Member must have length less than or equal to", "Member must have length greater than or equal to"
    if shape.type_name in ("string", "blob"):
        unit = "x" if shape.type_name == "string" else b"x"
        if limits.get("min"):
            yield unit * (limits["min"] - 1), f"{shorter} {limits['min']}"
        if "max" in limits:
            yield unit * (limits["max"] + 1), f"{longer} {limits['max']}"
        if "enum" in limits:
            yield "other", f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]"
        if "pattern" in limits:
            yield "*" * 40, f"Member must satisfy regular expression pattern: {limits['pattern']}"
    elif shape.type_name == "list":
        if limits.get("min"):
            yield [valid(shape.member)] * (limits["min"] - 1), f"{shorter} {limits['min']}"
        if "max" in limits:
            yield [valid(shape.member)] * (limits["max"] + 1), f"{longer} {limits['max']}"
    elif shape.type_name in ("integer", "long"):
        if "min" in limits:
            yield limits["min"] - 1, f"Member must have value greater than or equal to {limits['min']}"
        if "max" in limits:
            yield limits["max"] + 1, f"Member must have value less than or equal to {limits['max']}"


def limits(shape):
    """Values at the limits of the shape."""
    bounds = [shape.metadata[bound] for bound in ("min", "max") if bound in shape.metadata]
    if shape.type_name in ("integer", "long"):
        return bounds
    return [] if "enum" in shape.metadata or shape.name == "RegionType" else [valid(shape, bound) for bound in bounds]


def places(shape, path, wrap):
    """The shape and all shapes in it: the shape, its path in a message, and a function that puts a value there."""
    yield shape, path, wrap
    if shape.type_name == "list" and shape.member.type_name == "string":
        # Constraints of scalars in a list are those of the list.
        yield shape.member, path, lambda value: wrap([value])
    elif shape.type_name == "list":
        yield from places(shape.member, f"{path}.1.member", lambda value: wrap([value]))
    elif shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from places(
                member, f"{path}.{camel(name)}", lambda value, name=name: wrap({**valid(shape), name: value})
            )


def camel(name):
    return name[0].lower() + name[1:]


def error(operation, request):
    """The code and message of the error response."""
    try:
        CLIENT._make_api_call(operation, request)
    except ClientError as refusal:
        return refusal.response["Error"]["Code"], refusal.response["Error"]["Message"]
    return "", ""


def check(operation):
    """Returns the number of constraints, or none if the service does not know the operation."""
    shape = MODEL.operation_model(operation).input_shape
    base = valid(shape)
    if error(operation, base)[0] == "UnknownOperationException":
        return None
    checked = 0
    for name in shape.required_members:
        code, message = error(operation, {other: base[other] for other in base if other != name})
        words = f"Value null at '{camel(name)}' failed to satisfy constraint: Member must not be null"
        assert code == "ValidationException" and words in message, (operation, name, code, message)
        checked += 1
    for name, member in shape.members.items():
        for part, path, wrap in places(member, camel(name), lambda value: value):
            for value, words in violations(part):
                code, message = error(operation, {**base, name: wrap(value)})
                refused = code == "ValidationException" and f"at '{path}' failed to satisfy constraint: " in message
                assert refused and words in message, (operation, path, words, code, message[:300])
                checked += 1
            for value in limits(part):
                code, message = error(operation, {**base, name: wrap(value)})
                assert "failed to satisfy" not in message, (operation, path, code, message[:300])
    return checked


counts = {name: check(name) for name in MODEL.operation_names}
known = {name: count for name, count in counts.items() if count is not None}
print(f"{sum(known.values())} constraints of {len(known)} operations")
