//! Credentials from third-party services. Each test has a control that shows that they come from there.

use python_peers::Program;

use crate::{Checked, Servers, child};

const ROLE: &str = "arn:aws:iam::123456789012:role/reader";
const CONFIG: &str = "\
[profile base]
aws_access_key_id = AKIA
aws_secret_access_key = key
[profile assumed]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = base
region = us-east-1
";
/// An address on which nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";

pub(crate) fn ec2_mode(servers: &Servers) -> Checked {
    const METADATA: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    let secret = servers.secret(Program::Ministack, "ec2", "{}")?;
    let service = ("AWS_ENDPOINT_URL", &*secret.url);
    opens("ec2", "ec2", &[service, (METADATA, &secret.url)])?;
    fails("ec2", "ec2", &[service, (METADATA, NOWHERE)], "Failed to determine AWS region for EC2 instance.")?;
    Ok(())
}

pub(crate) fn assumed_role(servers: &Servers) -> Checked {
    role(servers, "assumed", ("config", CONFIG), "AWS_CONFIG_FILE", &[])
}

pub(crate) fn web_identity(servers: &Servers) -> Checked {
    let variables = [("AWS_ROLE_ARN", ROLE), ("AWS_REGION", "us-east-1")];
    role(servers, "default", ("token", "a.web.identity"), "AWS_WEB_IDENTITY_TOKEN_FILE", &variables)
}

/// Opens in `mode` with a role's credentials, obtained through the file that `variable` names.
fn role(
    servers: &Servers,
    mode: &str,
    (name, contents): (&str, &str),
    variable: &str,
    others: &[(&str, &str)],
) -> Checked {
    let secret = servers.secret(Program::Moto, name, "{}")?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(name);
    std::fs::write(&path, contents)?;
    let path = path.display().to_string();
    let service = [("AWS_ENDPOINT_URL", &*secret.url), ("AWS_EC2_METADATA_DISABLED", "true")];
    let variables = [&[(variable, &*path)], others, &service].concat();
    opens(mode, &secret.arn, &variables)?;
    let without_sts = [&variables[..], &[("AWS_ENDPOINT_URL_STS", NOWHERE)]].concat();
    fails(mode, &secret.arn, &without_sts, "(from AWS_ENDPOINT_URL_STS): the connection was refused")?;
    Ok(())
}

/// Opens the secret in a child process.
fn opens(mode: &str, secret: &str, variables: &[(&str, &str)]) -> Result<(), String> {
    child::start(&["open", mode, secret], variables)?.wait().map(drop)
}

/// Opens the secret in a child process, which must fail with this message.
fn fails(mode: &str, secret: &str, variables: &[(&str, &str)], message: &str) -> Result<(), String> {
    match opens(mode, secret, variables) {
        Err(error) if error.contains(message) => Ok(()),
        Err(error) => Err(format!("`{message}` is not in: {error}")),
        Ok(()) => Err(format!("opened instead of failing with `{message}`")),
    }
}
