//! Keys of the AWS configuration files.

use std::iter;

use crate::{World, bad_values, check_outcome, child::Case};

/// A key with a good value, its section, and the surrounding lines.
struct Row {
    key: &'static str,
    good: String,
    /// The configuration file, with `KEY` in place of the key's line.
    file: String,
}

fn rows(url: &str, token: &str) -> Vec<Row> {
    let keys = "aws_access_key_id = AKIA\naws_secret_access_key = key\n";
    let work = |rest: &str| format!("[profile work]\nKEY\nregion = us-east-1\nendpoint_url = {url}\n{rest}");
    let row = |key, good: &str, file: String| Row { key, good: good.to_owned(), file };
    let base = format!("{keys}[profile base]\n{keys}");
    let role = "role_arn = arn:aws:iam::123456789012:role/reader\n";
    let (role_arn, arn) = ("role_arn", "arn:aws:iam::123456789012:role/reader");
    let sign_in = "sso_account_id = 123456789012\nsso_role_name = reader\nsso_region = us-east-1\n\
                   sso_start_url = https://example.com/start\n";
    let mut rows = vec![
        row("region", "us-east-1", format!("[profile work]\nKEY\nendpoint_url = {url}\n{keys}")),
        row("endpoint_url", url, format!("[profile work]\nregion = us-east-1\nKEY\n{keys}")),
        row(
            "endpoint_url",
            url,
            format!(
                "[profile work]\nregion = us-east-1\n{role}source_profile = base\nKEY\n[profile base]\n{keys}"
            ),
        ),
        row("services", "none", work(keys)),
        row("use_fips_endpoint", "false", work(keys)),
        row("use_dualstack_endpoint", "false", work(keys)),
        row("ignore_configured_endpoint_urls", "false", work(keys)),
        row("aws_access_key_id", "AKIA", work("aws_secret_access_key = key\n")),
        row("aws_secret_access_key", "key", work("aws_access_key_id = AKIA\n")),
        row("aws_session_token", "token", work(keys)),
        row(role_arn, arn, work(&format!("source_profile = base\n{base}"))),
        row(role_arn, arn, work(&format!("web_identity_token_file = {token}\n"))),
        row("source_profile", "base", work(&format!("{role}[profile base]\n{keys}"))),
        row("credential_source", "Ec2InstanceMetadata", work(role)),
        row("role_session_name", "session", work(&format!("{role}source_profile = base\n{base}"))),
        row("external_id", "1234", work(&format!("{role}source_profile = base\n{base}"))),
        row("web_identity_token_file", token, work(role)),
        row(
            "credential_process",
            &process(r#"{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"key"}"#),
            work(""),
        ),
        row("login_session", "arn:aws:iam::123456789012:user/x", work("")),
        row(
            "ec2_metadata_service_endpoint",
            url,
            work(&format!("{role}credential_source = Ec2InstanceMetadata\n")),
        ),
        row(
            "ec2_metadata_service_endpoint_mode",
            "IPv4",
            work(&format!("{role}credential_source = Ec2InstanceMetadata\n")),
        ),
    ];
    for key in ["sso_account_id", "sso_role_name", "sso_region", "sso_start_url"] {
        let good = sign_in.lines().find_map(|line| line.strip_prefix(&format!("{key} = "))).unwrap();
        let others: String = sign_in.split_inclusive('\n').filter(|line| !line.starts_with(key)).collect();
        rows.push(row(key, good, work(&others)));
    }
    rows
}

fn process(output: &str) -> String {
    format!("echo '{output}'")
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_keys_work_or_fail_typed() {
    let world = World::new().await;
    let mut problems = Vec::new();
    for row in rows(&world.server.url(), &world.path("token")) {
        let values = bad_values(&row.good, 100_000);
        let case = |value: &str| {
            let config = row.file.replace("KEY", &format!("{} = {value}", row.key));
            Case { config: Some(config), method: None }
        };
        let bad = values.iter().map(|bad| case(bad.value.to_str().unwrap()));
        let cases: Vec<_> = [case(""), case(&row.good)].into_iter().chain(bad).collect();
        let file = world.file("cases", &Case::write(&cases));
        let found = world.run("profile", iter::empty::<(&str, &str)>(), Some(&file)).await;
        assert_eq!(found.len(), cases.len());
        for (bad, found_one) in values.iter().zip(&found[2..]) {
            // A line without a key makes the whole file invalid.
            let name = if bad.value.to_str().unwrap().contains('\n') { "config" } else { row.key };
            problems.extend(check_outcome(name, bad, found_one, &found[0], &found[1]));
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
