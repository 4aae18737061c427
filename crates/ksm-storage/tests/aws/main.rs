//! The AWS modes as a user runs them: the example `aws` as a separate process, with only the test's environment
//! variables, against the emulator.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::PathBuf,
    process::Output,
    time::{Duration, Instant},
};

use ksm_storage_emulator::{Action, Emulator, ResponseFault, Server, Value};
use tokio::process::Command;

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/http.rs"]
mod http;
#[cfg(target_os = "linux")]
#[path = "../common/watch.rs"]
mod watch;
#[cfg(target_os = "linux")]
mod work;

use common::binary;
use http::{reply, serve};

const SECRET: &str = r#"{"hostname":"keepersecurity.com"}"#;

struct World {
    server: Server,
    home: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let emulator = Emulator::new("us-east-1");
        emulator.secret("ksm-config").overwrite(Value::Text(SECRET.into()));
        let server = Server::start(emulator).await.unwrap();
        Self { server, home: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn arn(&self) -> String {
        self.server.emulator().secret("ksm-config").arn().unwrap()
    }

    fn files(&self) -> BTreeSet<OsString> {
        let entries = std::fs::read_dir(self.home.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    /// Runs the example in a mode, on a secret of the emulator.
    async fn run<'a>(
        &self,
        mode: &[&str],
        secret: &str,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Run {
        let url = self.server.url();
        self.run_args(&[mode, &["--secret", secret, "--endpoint-url", &url]].concat(), variables).await
    }

    /// Checks that EC2 mode fails within 1.5 s. Repeats the run, since a loaded machine may delay a single one.
    async fn fails_soon(&self, secret: &str, words: &str) {
        let mut took = Vec::new();
        while took.len() < 10 {
            let run = self.run(&["ec2"], secret, []).await;
            run.failed(&[words]);
            if run.took < Duration::from_millis(1500) {
                return;
            }
            took.push(run.took);
        }
        panic!("no run was soon over: {took:?}");
    }

    /// Runs the example, and checks that it leaves no file behind.
    async fn run_args<'a>(
        &self,
        args: &[&str],
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Run {
        let output = Command::new(binary("aws"))
            .args(args)
            .env_clear()
            // The host's files and metadata service stay out of reach.
            .env("HOME", self.home.path())
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.server.url())
            .envs(variables)
            .current_dir(self.home.path())
            .kill_on_drop(true)
            .output();
        let (before, start) = (self.files(), Instant::now());
        let output = tokio::time::timeout(Duration::from_secs(30), output).await.unwrap().unwrap();
        let took = start.elapsed();
        assert_eq!(self.files(), before);
        Run { output, took }
    }
}

struct Run {
    output: Output,
    took: Duration,
}

impl Run {
    fn text(&self) -> String {
        [&self.output.stdout, &self.output.stderr]
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .concat()
    }

    #[track_caller]
    fn opened(&self) {
        assert!(
            self.output.status.success() && self.text().contains("hostname keepersecurity.com"),
            "{}",
            self.text()
        );
    }

    #[track_caller]
    fn failed(&self, words: &[&str]) {
        let text = self.text();
        assert!(!self.output.status.success(), "{text}");
        for word in words {
            assert!(text.contains(word), "`{word}` is not in: {text}");
        }
    }
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "key")];

#[tokio::test]
async fn wrong_arguments_exit_with_usage() {
    let world = World::new().await;
    let wrong: [&[&str]; 5] = [&[], &["ec3"], &["profile"], &["custom", "AKIA"], &["ec2", "--no-such"]];
    for args in wrong {
        let run = world.run_args(args, []).await;
        assert_eq!(run.output.status.code(), Some(2), "{}", run.text());
        assert!(run.text().to_lowercase().contains("usage: aws"), "{}", run.text());
    }
    assert_eq!(world.server.emulator().calls(Action::GetSecretValue), 0);
}

#[tokio::test]
async fn ec2_mode_uses_the_instance() {
    let world = World::new().await;
    world.run(&["ec2"], "ksm-config", []).await.opened();
    // Without an argument, the variable applies, then the default name.
    world.run(&["ec2"], "", []).await.opened();
    world
        .run(&["ec2"], "", [("KSM_AWS_SECRET", "nothing-here")])
        .await
        .failed(&["nothing-here", "not found"]);
}

#[tokio::test]
async fn ec2_region_has_three_sources() {
    let world = World::new().await;
    let metadata = world.server.metadata();
    metadata.hide_placement();
    world.run(&["ec2"], "ksm-config", []).await.opened();
    metadata.hide_document();
    world.run(&["ec2"], "ksm-config", []).await.opened();
    metadata.hide_host_name();
    let run = world.run(&["ec2"], "ksm-config", []).await;
    run.failed(&["Failed to determine AWS region for EC2 instance.", "default credential chain", "full ARN"]);
    let run = world.run(&["ec2"], "ksm-config", [("AWS_LAMBDA_FUNCTION_NAME", "f")]).await;
    run.failed(&["this is Lambda: use the default credential chain"]);
}

#[tokio::test]
async fn off_ec2_only_arn_works() {
    let world = World::new().await;
    world.server.metadata().set_fault(Some(ResponseFault::Hang));
    world.fails_soon("ksm-config", "Failed to determine AWS region for EC2 instance.").await;
    // The region from the ARN, the credentials from the environment.
    world.run(&["ec2"], &world.arn(), KEYS).await.opened();
    world.fails_soon(&world.arn(), "no usable credentials").await;
}

#[tokio::test]
async fn disabled_metadata_service_is_skipped() {
    let world = World::new().await;
    let disabled = [("AWS_EC2_METADATA_DISABLED", "true")];
    world.run(&["ec2"], "ksm-config", disabled).await.failed(&["AWS_EC2_METADATA_DISABLED"]);
    world.run(&["ec2"], &world.arn(), KEYS.into_iter().chain(disabled)).await.opened();
    assert_eq!(world.server.metadata().calls(), 0);
}

#[tokio::test]
async fn instance_without_role_falls_back() {
    let world = World::new().await;
    world.server.metadata().set_role(None);
    world.run(&["ec2"], "ksm-config", KEYS).await.opened();
}

#[tokio::test]
async fn a_refusal_never_falls_back() {
    let world = World::new().await;
    world.server.emulator().deny(Action::GetSecretValue, "AccessDeniedException");
    let run = world.run(&["ec2"], "ksm-config", KEYS).await;
    run.failed(&["access denied", "secretsmanager:GetSecretValue", "kms:Decrypt"]);
    assert_eq!(world.server.emulator().calls(Action::GetSecretValue), 1);
}

#[tokio::test]
async fn default_mode_skips_metadata() {
    let world = World::new().await;
    let url = world.server.url();
    let region = ("AWS_REGION", "us-east-1");
    world.run(&["default"], "ksm-config", KEYS.into_iter().chain([region])).await.opened();
    // The endpoint may also come from a variable.
    let variables = KEYS.into_iter().chain([region, ("AWS_ENDPOINT_URL", &url)]);
    world.run_args(&["default", "--secret", "ksm-config"], variables).await.opened();
    let mounted = world.file("mounted", "[default]\naws_access_key_id = AKIA\naws_secret_access_key = key\n");
    let mounted = ("AWS_SHARED_CREDENTIALS_FILE", mounted.to_str().unwrap());
    world.run(&["default"], "ksm-config", [mounted, region]).await.opened();
    // The region of the ARN takes precedence over the environment.
    let elsewhere = KEYS.into_iter().chain([("AWS_REGION", "eu-west-1")]);
    let run = world.run(&["default"], &world.arn(), elsewhere).await;
    run.opened();
    assert_eq!(world.server.metadata().calls(), 0);
}

#[tokio::test]
async fn incomplete_profile_is_rejected() {
    let world = World::new().await;
    let config = world.file(
        "config",
        "[profile whole]\nregion = us-east-1\n[profile bare]\nregion = us-east-1\n[profile lost]\n",
    );
    let keys = "aws_access_key_id = AKIA\naws_secret_access_key = key\n";
    let credentials = world.file("credentials", &format!("[whole]\n{keys}[lost]\n{keys}"));
    let files = [
        ("AWS_CONFIG_FILE", config.to_str().unwrap()),
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap()),
    ];
    // Valid variables are not used as a fallback.
    let variables = || files.into_iter().chain(KEYS);
    world.run(&["profile", "whole"], "ksm-config", variables()).await.opened();
    let run = world.run(&["profile", "absent"], "ksm-config", variables()).await;
    run.failed(&["absent", "does not exist", files[0].1, files[1].1]);
    let run = world.run(&["profile", "bare"], "ksm-config", variables()).await;
    run.failed(&["bare", "no usable credentials", files[1].1]);
    let run = world.run(&["profile", "lost"], "ksm-config", variables()).await;
    run.failed(&["lost", "has no region", files[0].1]);
    assert_eq!(world.server.metadata().calls(), 0);
}

#[tokio::test]
async fn custom_credentials_need_one_region() {
    let world = World::new().await;
    world.run(&["custom", "AKIA", "key", "us-east-1"], "ksm-config", []).await.opened();
    world.run(&["custom", "AKIA", "key", ""], &world.arn(), []).await.opened();
    let run = world.run(&["custom", "AKIA", "key", "eu-west-1"], &world.arn(), []).await;
    run.failed(&["us-east-1", "eu-west-1", "omit one of them"]);
    world.run(&["custom", "AKIA", "key", ""], "ksm-config", []).await.failed(&["no AWS region"]);
    assert_eq!(world.server.metadata().calls(), 0);
}

#[tokio::test]
async fn sdk_config_is_used_unchanged() {
    let world = World::new().await;
    let variables = KEYS.into_iter().chain([("AWS_REGION", "us-east-1")]);
    world.run(&["sdk-config"], "ksm-config", variables).await.opened();
}

#[tokio::test]
async fn plain_http_is_refused_off_loopback() {
    let world = World::new().await;
    let args = ["custom", "AKIA", "key", "us-east-1", "--endpoint-url", "http://192.0.2.1:80"];
    let run = world.run_args(&args, []).await;
    run.failed(&["plain http", "invalid argument"]);
}

#[tokio::test]
async fn malformed_id_makes_no_call() {
    let world = World::new().await;
    let run = world.run(&["ec2"], "arn:aws:secretsmanager:us-east-1:1:secret:x", []).await;
    // In the format of `Display`.
    run.failed(&["error: ", "account is \"1\"", "12 digits"]);
    assert_eq!(world.server.metadata().calls(), 0);
}

const TEMPORARY: &str =
    r#"{"AccessKeyId":"AKIA","SecretAccessKey":"key","Token":"session","Expiration":"2999-01-01T00:00:00Z"}"#;

#[tokio::test]
async fn container_uses_task_or_pod_role() {
    let world = World::new().await;
    let agent = serve(|request| {
        let known =
            request.line == "GET /v1/credentials" && request.header("authorization") == Some("the.token");
        Some(if known { reply(200, "", TEMPORARY) } else { reply(403, "", "{}") })
    })
    .await;
    let agent = format!("http://{agent}/v1/credentials");
    let service = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*agent), ("AWS_REGION", "us-east-1")];
    let run = |token| world.run(&["container"], "ksm-config", service.into_iter().chain([token]));

    let run_of_task = run(("AWS_CONTAINER_AUTHORIZATION_TOKEN", "the.token")).await;
    run_of_task.opened();
    assert!(run_of_task.text().contains("health: waiting until somebody binds"), "{}", run_of_task.text());
    let token = world.file("token", "the.token");
    run(("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap())).await.opened();
    // Control: the credentials come from there.
    let run = run(("AWS_CONTAINER_AUTHORIZATION_TOKEN", "another")).await;
    run.failed(&["no usable credentials"]);
    assert_eq!(world.server.metadata().calls(), 0);
}

#[tokio::test]
async fn container_uses_service_account_role() {
    let world = World::new().await;
    world.server.emulator().expect_web_identity_token("the.token");
    let url = world.server.url();
    let (token, other) = (world.file("token", "the.token"), world.file("other", "another"));
    for (token, opens) in [(&token, true), (&other, false)] {
        let variables = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL_STS", &url),
        ];
        let run = world.run(&["container"], "ksm-config", variables).await;
        if opens { run.opened() } else { run.failed(&["no usable credentials"]) }
    }
    assert_eq!(world.server.emulator().calls(Action::AssumeRoleWithWebIdentity), 2);
    assert_eq!(world.server.metadata().calls(), 0);
}
