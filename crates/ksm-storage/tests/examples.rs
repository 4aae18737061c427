//! Examples that need another service: the Lambda runtime API, or a client.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;
#[path = "common/http.rs"]
mod http;

use std::{
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use common::binary;
use http::{reply, serve};
use ksm_storage_emulator::{Action, Emulator, Server, Value};
use tokio::{process::Command, sync::mpsc, time::timeout};

const PATIENCE: Duration = Duration::from_secs(30);

/// A function started as Lambda does it, with the secret on the emulator and the runtime API at `api`.
fn function(server: &Server, api: &str) -> Command {
    let mut function = Command::new(binary("lambda"));
    function
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", api)
        .env("AWS_LAMBDA_FUNCTION_NAME", "function")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_ACCESS_KEY_ID", "AKIA")
        .env("AWS_SECRET_ACCESS_KEY", "key")
        .env("AWS_SESSION_TOKEN", "session")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL", server.url())
        .env("KSM_AWS_SECRET", "team/ksm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    function
}

#[tokio::test]
async fn cold_start_reads_once() {
    let emulator = Emulator::new("us-east-1");
    emulator.secret("team/ksm").overwrite(Value::Text(r#"{"hostname":"keepersecurity.com"}"#.into()));
    let server = Server::start(emulator.clone()).await.unwrap();
    let (answers, mut answered) = mpsc::unbounded_channel();
    let invocations = AtomicUsize::new(0);
    let api = serve(move |request| {
        if request.line != "GET /2018-06-01/runtime/invocation/next" {
            let _ = answers.send((request.line, request.body));
            return Some(reply(202, "", ""));
        }
        // The function is frozen after the second invocation.
        let id = invocations.fetch_add(1, Ordering::Relaxed) + 1;
        let headers = format!(
            "lambda-runtime-aws-request-id: {id}\r\nlambda-runtime-deadline-ms: 32503680000000\r\n\
             lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:123456789012:function:function\r\n"
        );
        (id <= 2).then(|| reply(200, &headers, "{}"))
    })
    .await;

    let _running = function(&server, &api).spawn().unwrap();
    for id in 1..=2 {
        let answer = timeout(PATIENCE, answered.recv()).await.unwrap().unwrap();
        let line = format!("POST /2018-06-01/runtime/invocation/{id}/response");
        assert_eq!(answer, (line, r#"{"hostname":"keepersecurity.com"}"#.to_owned()));
    }
    assert_eq!(emulator.calls(Action::GetSecretValue), 1);
}

#[tokio::test]
async fn cold_start_without_secret_fails() {
    let server = Server::start(Emulator::new("us-east-1")).await.unwrap();
    let (requests, mut requested) = mpsc::unbounded_channel();
    let api = serve(move |request| {
        let _ = requests.send(request.line);
        Some(reply(500, "", ""))
    })
    .await;
    let output = timeout(PATIENCE, function(&server, &api).output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("team/ksm") && text.contains("not found"), "{text}");
    assert!(requested.try_recv().is_err());
}

#[tokio::test]
async fn local_examples_succeed() {
    for name in ["quick_start", "blocking", "file", "read_replica", "rotate"] {
        let folder = tempfile::tempdir().unwrap();
        let mut example = Command::new(binary(name));
        let example =
            example.current_dir(folder.path()).env("TMPDIR", folder.path()).kill_on_drop(true).output();
        let output = timeout(PATIENCE, example).await.unwrap().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
