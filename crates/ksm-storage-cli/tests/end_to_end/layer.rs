//! The wrapper of the Lambda layer: unmodified programs start through it and serve an invocation.

use std::{fs, os::unix::fs::symlink, path::PathBuf, time::Duration};

use ksm_storage_emulator::Action;
use tokio::{process::Command, sync::mpsc, time::timeout};

use crate::{
    http::{reply, serve},
    support::{World, not_checked, text},
};

/// Handles one invocation from the runtime API, and answers with the keys of its configuration.
const PYTHON: &str = "
import base64, json, os, urllib.request as http
api = 'http://' + os.environ['AWS_LAMBDA_RUNTIME_API'] + '/2018-06-01/runtime/invocation/'
invocation = http.urlopen(api + 'next')
config = json.loads(base64.b64decode(os.environ['KSM_CONFIG']))
request = invocation.headers['Lambda-Runtime-Aws-Request-Id']
http.urlopen(api + request + '/response', ','.join(sorted(config)).encode())
";
const NODE: &str = "
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/`;
fetch(api + 'next').then(invocation => {
  const config = JSON.parse(Buffer.from(process.env.KSM_CONFIG, 'base64').toString());
  const request = invocation.headers.get('lambda-runtime-aws-request-id');
  return fetch(`${api}${request}/response`, { method: 'POST', body: Object.keys(config).sort().join() });
});
";
const SHELL: &str = r#"
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
request=$(curl -sS -D - -o event "$api/next" | tr -d '\r' | sed -n 's/^lambda-runtime-aws-request-id: //p')
config=$(printf %s "$KSM_CONFIG" | base64 -d | sed -n 's/^ *"\([A-Za-z]*\)":.*/\1/p' | sort | paste -sd,)
curl -sS -d "$config" "$api/$request/response"
"#;

/// The content of `/opt` in a function with the layer.
fn opt(world: &World) -> PathBuf {
    let opt = world.run.path("opt");
    let layer = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/lambda-layer");
    fs::create_dir_all(opt.join("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_ksm-storage"), opt.join("bin/ksm-storage")).unwrap();
    fs::copy(format!("{layer}/ksm-storage-wrapper"), opt.join("ksm-storage-wrapper")).unwrap();
    opt.join("ksm-storage-wrapper")
}

async fn serves_an_invocation(program: &str, script: &str) {
    let world = World::bound().await;
    world.aws.emulator().reset_calls();
    let (answers, mut answered) = mpsc::unbounded_channel();
    let api = serve(move |request| {
        if request.line == "GET /2018-06-01/runtime/invocation/next" {
            return Some(reply(200, "lambda-runtime-aws-request-id: id-1\r\n", "{}"));
        }
        let _ = answers.send((request.line, request.body));
        Some(reply(202, "", ""))
    })
    .await;
    fs::write(world.run.path("script"), script).unwrap();
    // As on Lambda: the wrapper, followed by the command of the runtime.
    let function =
        world.run.program(opt(&world), &[program, "script"]).env("AWS_LAMBDA_RUNTIME_API", &api).spawn();
    let output =
        timeout(Duration::from_mins(1), function.unwrap().wait_with_output()).await.unwrap().unwrap();
    let answer = answered.try_recv().unwrap_or_else(|_| panic!("no answer: {}", text(&output)));
    let keys = "appKey,appOwnerPublicKey,clientId,hostname,privateKey,serverPublicKey,serverPublicKeyId";
    assert_eq!(answer, ("POST /2018-06-01/runtime/invocation/id-1/response".to_owned(), keys.to_owned()));
    // One load serves all invocations.
    assert_eq!(world.aws.emulator().calls(Action::GetSecretValue), 1);
}

async fn serves_if_installed(programs: &[&str], script: &str) {
    for program in programs {
        if Command::new(program).arg("--version").output().await.is_err() {
            return not_checked(&format!("{program} is not installed"));
        }
    }
    serves_an_invocation(programs[0], script).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_function_starts_through_the_layer() {
    match python_peers::install() {
        Ok(python) => serves_an_invocation(python.to_str().unwrap(), PYTHON).await,
        Err(missing) => not_checked(&missing),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn node_function_starts_through_the_layer() {
    serves_if_installed(&["node"], NODE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shell_function_starts_through_the_layer() {
    serves_if_installed(&["sh", "curl"], SHELL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_function_does_not_start() {
    let world = World::new("{}").await;
    let output = world.run.program(opt(&world), &["sh", "-c", "echo started"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(9), "{}", text(&output));
    assert!(output.stdout.is_empty() && text(&output).contains("ksm-storage bind"), "{}", text(&output));
}
