//! The program as a child process, used by a Python client and by the AWS SDK.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{process::Stdio, time::Duration};

use aws_sdk_secretsmanager::{Client, error::ProvideErrorMetadata};
use ksm_storage_core::ConfigStorage;
use ksm_storage_emulator::fixture::sdk_config;
use ksm_storage_keeper::KeeperClient;
use ksm_storage_memory::MemoryBackend;
use serde_json::Value as Json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(30);

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ksm-storage-emulator"));
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    program
}

/// Starts the program, and returns what it reports.
async fn start(args: &[&str]) -> (Child, Json) {
    let mut child = program().args(args).arg("--json").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

/// A test in another language: reads and changes a secret, injects a fault, counts calls.
const PYTHON: &str = r#"
import json, sys, urllib.error, urllib.request
report = json.loads(sys.argv[1])

def call(url, method, body=None, headers={}):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    return json.load(urllib.request.urlopen(request))

def aws(action, body):
    headers = {"X-Amz-Target": "secretsmanager." + action, "Content-Type": "application/x-amz-json-1.1",
               "Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/x"}
    return call(report["secrets_manager"], "POST", body, headers)

def control(method, path, body=None):
    return call(report["control"] + path, method, body)

assert aws("GetSecretValue", {"SecretId": "ksm-config"})["SecretString"] == "{}"
control("PUT", "/secrets/team%2Fksm", {"value": "foreign"})
assert aws("GetSecretValue", {"SecretId": "team/ksm"})["SecretString"] == "foreign"
assert control("GET", "/secrets/team/ksm")["value"] == "foreign"
control("PUT", "/clock", {"time": 1700000000})
control("PUT", "/secrets/late", {"value": "{}"})
assert aws("DescribeSecret", {"SecretId": "late"})["CreatedDate"] == 1700000000
control("POST", "/denials", {"action": "GetSecretValue", "code": "AccessDeniedException"})
try:
    aws("GetSecretValue", {"SecretId": "ksm-config"})
    sys.exit("not denied")
except urllib.error.HTTPError as error:
    assert json.load(error)["__type"] == "AccessDeniedException"
control("DELETE", "/denials")
assert control("GET", "/calls")["GetSecretValue"] == 3
for path, body in [("/faults", {"action": "Nothing", "faults": []}), ("/nothing", {})]:
    try:
        control("POST", path, body)
        sys.exit("accepted")
    except urllib.error.HTTPError as error:
        assert json.load(error)["error"]
print(control("POST", "/keeper/tokens", {"ip_locked": True})["token"])
"#;

#[tokio::test(flavor = "multi_thread")]
async fn serves_clients_in_other_languages() {
    let (mut child, report) = start(&["--secret", "ksm-config={}", "--keeper", "once"]).await;
    let token = match Command::new("python3").args(["-c", PYTHON, &report.to_string()]).output().await {
        Ok(ran) => {
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
            String::from_utf8(ran.stdout).unwrap().trim().to_owned()
        }
        // Without Python, the rest is still tested.
        Err(_) => report["keeper"]["tokens"][0].as_str().unwrap().to_owned(),
    };
    let field = |name: &str| report["keeper"][name].as_str().unwrap().to_owned();
    assert!(field("ca").starts_with("-----BEGIN CERTIFICATE-----"));
    let storage = ConfigStorage::open(MemoryBackend::from_config("{}")).await.unwrap();
    let keeper = KeeperClient::builder()
        .hostname(field("hostname"))
        .server_public_key(field("server_public_key"))
        .server_public_key_id(field("server_public_key_id"))
        .insecure_skip_verify()
        .token(token)
        .open(storage)
        .await
        .unwrap();
    assert_eq!(keeper.get_secrets(&[]).await.unwrap().len(), 2);

    drop(child.stdin.take());
    assert!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn serves_the_aws_sdk() {
    let (child, report) = start(&["--secret", "ksm-config={}", "--region", "eu-west-1"]).await;
    assert_eq!((report["region"].as_str(), report["keeper"].is_null()), (Some("eu-west-1"), true));
    let client = Client::new(&sdk_config(report["secrets_manager"].as_str().unwrap()));
    let read = client.get_secret_value().secret_id("ksm-config").send().await.unwrap();
    assert_eq!(read.secret_string(), Some("{}"));
    assert!(read.arn().unwrap().contains(":eu-west-1:"));
    let missing = client.get_secret_value().secret_id("other").send().await.unwrap_err();
    assert_eq!(missing.code(), Some("ResourceNotFoundException"));
    drop(child);
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_it() {
    let (mut child, _) = start(&[]).await;
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    assert!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success());
}

#[cfg(unix)]
#[tokio::test]
async fn runs_on_without_a_pipe() {
    let mut child = program().stdin(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    assert!(line.starts_with("AWS:     http://127.0.0.1:"), "{line}");
    assert!(timeout(Duration::from_millis(300), child.wait()).await.is_err());
}

#[tokio::test]
async fn arguments_are_checked() {
    let help = program().arg("--help").output().await.unwrap();
    assert!(help.status.success());
    assert!(
        String::from_utf8(help.stdout).unwrap().contains("--secret ksm-config='{}' --keeper once --json")
    );
    for wrong in [&["--nothing"][..], &["--secret", "x"], &["--keeper", "never"], &["--tokens", "2"]] {
        let output = program().args(wrong).stderr(Stdio::null()).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
