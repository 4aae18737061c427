//! Environment variables.

use std::ffi::OsString;

use futures_util::{StreamExt, stream};

use crate::{CLOSED, Expected, World, bad_values, check_outcome};

/// The longest value in a process's environment is 128 KiB on Linux.
const LONGEST: usize = 100_000;

/// A variable with a good value, the mode that reads it, and the variables set with it.
struct Row {
    name: &'static str,
    good: String,
    mode: &'static str,
    beside: Vec<(&'static str, String)>,
}

fn rows(world: &World) -> Vec<Row> {
    let url = world.server.url();
    let own = |pairs: &[(&'static str, &str)]| -> Vec<_> {
        pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let keys = own(&[
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
        ("AWS_SESSION_TOKEN", "token"),
    ]);
    let token = world.path("token");
    let web = own(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader"),
    ]);
    let agent = format!("{}/creds", world.agent);
    let container =
        own(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t")]);
    // A login session that does not exist.
    let login = own(&[
        ("AWS_PROFILE", "login"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &url),
        ("AWS_REGION", "us-east-1"),
    ]);
    // Bypasses the proxy, and reaches a closed port.
    let https = [keys.clone(), own(&[("AWS_ENDPOINT_URL_SECRETS_MANAGER", "https://127.0.0.1:9")])].concat();
    let row = |name, good: &str, mode, beside: &[_]| Row {
        name,
        good: good.to_owned(),
        mode,
        beside: beside.to_vec(),
    };
    let known = [keys.clone(), own(&[("AWS_ENDPOINT_URL", &url), ("AWS_REGION", "us-east-1")])].concat();
    let bundle = world.path("roots.pem");
    let mut rows = vec![
        row("KSM_AWS_SECRET", "other", "default", &keys),
        row("AWS_REGION", "us-east-1", "default", &keys),
        row("AWS_DEFAULT_REGION", "us-east-1", "default", &keys),
        row("AWS_PROFILE", "default", "default", &keys),
        // A missing file counts as unset.
        row("AWS_CONFIG_FILE", &world.path("config"), "default", &known),
        row("AWS_SHARED_CREDENTIALS_FILE", &world.path("config"), "default", &known),
        row("AWS_ENDPOINT_URL", &url, "default", &keys),
        row("AWS_ENDPOINT_URL_SECRETS_MANAGER", &url, "default", &keys),
        row("AWS_ENDPOINT_URL_STS", &url, "default", &web),
        row("AWS_ENDPOINT_URL", &url, "default", &web),
        row("AWS_ENDPOINT_URL_SIGNIN", &url, "default", &login),
        row("AWS_LOGIN_CACHE_DIRECTORY", &world.path("login"), "default", &login),
        row("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false", "default", &keys),
        row("AWS_USE_FIPS_ENDPOINT", "false", "default", &keys),
        row("AWS_USE_DUALSTACK_ENDPOINT", "false", "default", &keys),
        row("AWS_EC2_METADATA_DISABLED", "false", "default", &keys),
        row("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url, "ec2", &[]),
        row("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv4", "ec2", &[]),
        row("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE", "default", &keys),
        row("AWS_ROLE_SESSION_NAME", "session", "default", &web),
        row("AWS_MAX_ATTEMPTS", "3", "default", &keys),
        row("AWS_RETRY_MODE", "standard", "default", &keys),
        row("AWS_CA_BUNDLE", &bundle, "default", &https),
        row("SSL_CERT_FILE", &bundle, "default", &https),
        row("SSL_CERT_DIR", world.folder.path().to_str().unwrap(), "default", &https),
        row("HOME", world.folder.path().to_str().unwrap(), "default", &keys),
        row("NO_PROXY", "localhost,10.0.0.0/8,.corp.example", "default", &https),
    ];
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        rows.push(row(name, CLOSED, "default", &https));
    }
    for (name, good) in keys.iter().map(|(name, good)| (*name, good)) {
        let others: Vec<_> = keys.iter().filter(|(other, _)| *other != name).cloned().collect();
        rows.push(row(name, good, "default", &others));
    }
    for set in [&web, &container] {
        for (name, good) in set.iter().map(|(name, good)| (*name, good)) {
            let others: Vec<_> = set.iter().filter(|(other, _)| *other != name).cloned().collect();
            rows.push(row(name, good, "default", &others));
        }
    }
    rows.push(row("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token, "default", &container));
    rows.push(row("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials", "default", &[]));
    rows
}

/// All variables that the documentation names, and all others that are read, are in the table.
#[tokio::test]
async fn documented_variables_are_tried() {
    let world = World::new().await;
    let tried: Vec<_> = rows(&world).iter().map(|row| row.name).collect();
    let page = include_str!("../../../../docs/aws.md");
    let table = page.split("\n| variable | ").nth(1).unwrap().split("\n\n").next().unwrap();
    let first_cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let mut count = 0;
    for name in first_cells.flat_map(|cell| cell.split(['`', ',', ' '])).filter(|name| name.len() > 3) {
        assert!(tried.contains(&name), "{name} is not tried");
        count += 1;
    }
    assert!(count > 10, "{count}");
}

async fn check(world: &World, row: &Row) -> Vec<String> {
    let run = async |value: Option<OsString>| {
        let beside = row.beside.iter().map(|(name, value)| (*name, OsString::from(value)));
        let own = value.map(|value| (row.name, value));
        // Home, files and metadata endpoint are set for every run.
        world.run(row.mode, beside.chain(own), None).await.remove(0)
    };
    let unset = run(Some(OsString::new())).await;
    let good = run(Some(row.good.clone().into())).await;
    let mut problems = Vec::new();
    let mut values = bad_values(&row.good, LONGEST);
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        let value = OsString::from_vec([row.good.as_bytes(), b"\xff\xfe"].concat());
        values.push(crate::Bad { name: "no UTF-8", value, expected: Expected::GoodOrNamed });
    }
    for mut bad in values {
        // The SDK reads this one itself.
        if row.name == "AWS_EXECUTION_ENV" {
            bad.expected = Expected::GoodOrNamed;
        }
        let found = run(Some(bad.value.clone())).await;
        problems.extend(check_outcome(row.name, &bad, &found, &unset, &good));
    }
    problems
}

#[tokio::test(flavor = "multi_thread")]
async fn every_variable_fails_typed_or_works() {
    let world = World::new().await;
    world.file("roots.pem", ROOT);
    let rows = rows(&world);
    let problems: Vec<_> = stream::iter(&rows)
        .map(|row| check(&world, row))
        .buffer_unordered(4)
        .collect::<Vec<_>>()
        .await
        .concat();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// Amazon Root CA 3.
pub(crate) const ROOT: &str = "-----BEGIN CERTIFICATE-----
MIIBtjCCAVugAwIBAgITBmyf1XSXNmY/Owua2eiedgPySjAKBggqhkjOPQQDAjA5
MQswCQYDVQQGEwJVUzEPMA0GA1UEChMGQW1hem9uMRkwFwYDVQQDExBBbWF6b24g
Um9vdCBDQSAzMB4XDTE1MDUyNjAwMDAwMFoXDTQwMDUyNjAwMDAwMFowOTELMAkG
A1UEBhMCVVMxDzANBgNVBAoTBkFtYXpvbjEZMBcGA1UEAxMQQW1hem9uIFJvb3Qg
Q0EgMzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCmXp8ZBf8ANm+gBG1bG8lKl
ui2yEujSLtf6ycXYqm0fc4E7O5hrOXwzpcVOho6AF2hiRVd9RFgdszflZwjrZt6j
QjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgGGMB0GA1UdDgQWBBSr
ttvXBp43rDCGB5Fwx5zEGbF4wDAKBggqhkjOPQQDAgNJADBGAiEA4IWSoxe3jfkr
BqWTrBqYaGFy+uGh0PsceGCmQ5nFuMQCIQCcAu/xlJyzlvnrxir4tiz+OpAUFteM
YyRIHN8wfdVoOw==
-----END CERTIFICATE-----
";
