//! `exec` with third-party programs, and its overhead.

use std::{fs, time::Instant};

use ksm_storage_emulator::{Action, TlsFront};
use ksm_storage_testkit::canary::shows;

use crate::support::{Run, World, not_checked, text};

/// A program without any knowledge of this project.
const PYTHON: &str = "
from keeper_secrets_manager_core import SecretsManager
for record in SecretsManager().get_secrets():
    print(record.title, len(record.get_standard_field_value('password', True)))
";

#[tokio::test(flavor = "multi_thread")]
async fn python_program_reads_its_records() {
    let python = match python_peers::install() {
        Ok(python) => python,
        Err(missing) => return not_checked(&missing),
    };
    let world = World::bound().await;
    world.keeper.clear_requests();
    world.aws.emulator().reset_calls();
    fs::write(world.run.path("report.py"), PYTHON).unwrap();
    // Python's SDK accepts a host name here, but no path.
    let host = world.keeper.hostname().trim_end_matches("/http").to_owned();
    let run = world.run.with("KSM_HOSTNAME", host);
    let shown = run.ends(&["exec", "--", python.to_str().unwrap(), "report.py"], 0).await;
    assert!(shown.contains("Database ") && shown.contains("Message queue "), "{shown}");
    assert_eq!(world.aws.emulator().calls(Action::GetSecretValue), 1);
    assert!(!world.keeper.requests().is_empty());
    assert_eq!(world.aws.emulator().calls(Action::PutSecretValue), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_shows_the_configuration() {
    let world = World::bound().await;
    // The environment of the program itself and of its child process: the exposure that docs/cli.md warns of.
    let program = "tr '\\0' '\\n' < /proc/$$/environ | grep -c ^KSM_CONFIG=; env | grep -c ^KSM_CONFIG=; \
                   env | grep -c ^KSM_TOKEN=; true";
    let run = world.run.with("KSM_TOKEN", "US:token");
    assert_eq!(run.ends(&["exec", "--", "sh", "-c", program], 0).await, "1\n1\n0\n");
    // This program does not print it.
    let log = run.ends(&["exec", "-vvv", "--", "true"], 0).await;
    assert!(
        log.contains("DEBUG") && !world.keeper.secrets().iter().any(|secret| shows(&log, secret)),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unbound_configuration_starts_nothing() {
    let world = World::new(r#"{"hostname": "keepersecurity.eu"}"#).await;
    let refused = world.run.ends(&["exec", "--", "sh", "-c", "echo started"], 9).await;
    assert!(
        refused.contains("the configuration is empty; bind it") && !refused.contains("started"),
        "{refused}"
    );
}

/// The time and memory that `exec` adds to a program, over HTTPS. Runs alternate with the program alone.
///
/// The limits are checked only for a release build, named by `KSM_STORAGE_RELEASE`. A debug build exceeds them.
#[tokio::test(flavor = "multi_thread")]
async fn overhead_of_exec_is_small() {
    let release = std::env::var("KSM_STORAGE_RELEASE").ok();
    let program = release.as_deref().unwrap_or(env!("CARGO_BIN_EXE_ksm-storage"));
    let World { aws, keeper: _keeper, run } = World::bound().await;
    let front = TlsFront::start(&aws.url()).await.unwrap();
    // As many certificates as on a typical host, because they must all be read.
    let known = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap_or_default();
    fs::write(run.path("roots.pem"), format!("{}{known}", front.certificate())).unwrap();
    let roots = run.path("roots.pem").to_str().unwrap().to_owned();
    let run = run.with("AWS_ENDPOINT_URL", front.url()).with("SSL_CERT_FILE", roots);

    let rounds = if release.is_some() { 60 } else { 3 };
    let (mut alone, mut with) = (vec![], vec![]);
    for _ in 0..rounds {
        alone.push(milliseconds(&run, "/bin/true", &[]).await);
        with.push(milliseconds(&run, program, &["exec", "--", "/bin/true"]).await);
    }
    let overhead = median(&mut with) - median(&mut alone);
    // GNU time starts the program from a small process of its own. Otherwise the peak of this process would count.
    let time = ["-f", "%M", program, "exec", "--", "/bin/true"];
    let Ok(output) = run.program("/usr/bin/time", &time).output().await else {
        return not_checked("GNU time is not installed: the memory was not measured");
    };
    let peak: f64 = text(&output).trim().parse().unwrap();
    eprintln!("exec adds {overhead:.1} ms, and takes {:.1} MiB at its peak", peak / 1024.0);
    if release.is_some() {
        assert!(overhead < 25.0 && peak < 12.0 * 1024.0, "{overhead} ms, {peak} KiB");
    }
}

async fn milliseconds(run: &Run, program: &str, args: &[&str]) -> f64 {
    let start = Instant::now();
    let output = run.program(program, args).output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output));
    start.elapsed().as_secs_f64() * 1e3
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
