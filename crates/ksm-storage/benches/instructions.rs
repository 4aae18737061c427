//! The number of instructions per operation, counted by callgrind and compared with `benches/instructions.txt`: `cargo
//! bench --package performance --bench instructions`.
//!
//! Unlike times, counts are reproducible on a busy machine, but not with another toolchain. After an intended change,
//! update the file with `-- --write`.
#![allow(
    missing_docs,
    clippy::format_push_string,
    clippy::print_stdout,
    reason = "a benchmark prints its results"
)]

use std::{
    env,
    error::Error,
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use ksm_storage_aws::{AwsSecretBackend, Concurrency};
use ksm_storage_core::{ConfigDocument, ConfigKey, ConfigStorage};
use ksm_storage_emulator::{Emulator, Value};
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A bound configuration with values of realistic length.
const CONFIGURATION: &str = include_str!("../../../benches/configuration.json");
const COMMITTED: &str = "instructions.txt";
const SUBJECTS: [(&str, u64); 6] = [
    ("get", 10_000),
    ("parse", 100),
    ("update", 20),
    ("open", 20),
    ("queued-1kB", 5_000),
    ("queued-60kB", 5_000),
];
/// The maximum accepted growth.
const MOST: f64 = 1.05;
/// The most that a queued write to a document of 60 kB may take, relative to one to a document of 1 kB.
const MOST_BY_SIZE: f64 = 3.0;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--run", subject, times] => run(subject, times.parse()?),
        ["--bench"] => compare(),
        ["--write", ..] => Ok(fs::write(committed(), counted()?)?),
        // Cargo runs all targets as tests.
        _ => Ok(()),
    }
}

/// Repeats an operation.
fn run(subject: &str, times: u64) -> Result<()> {
    let emulator = Emulator::new("us-east-1");
    emulator.set_version_quota(None);
    let value = match subject {
        "queued-1kB" => document(20),
        "queued-60kB" => document(1_200),
        _ => CONFIGURATION.to_owned(),
    };
    emulator.secret("ksm-config").overwrite(Value::Text(value.into()));
    let backend = || -> Result<_> {
        let (client, id) = (Arc::new(emulator.clone()), "ksm-config".parse()?);
        Ok(AwsSecretBackend::new(client, id, "us-east-1", Concurrency::Optimistic))
    };
    tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
        // Valgrind takes fifty times as long, beside other work.
        let storage = ConfigStorage::builder(backend()?).deadline(Duration::from_hours(1)).open().await?;
        if subject.starts_with("queued") {
            return queue(storage, times).await;
        }
        for time in 0..times {
            match subject {
                "get" => drop(black_box(storage.get(black_box(ConfigKey::PrivateKey)))),
                "parse" => drop(black_box(ConfigDocument::parse(black_box(CONFIGURATION.as_bytes()))?)),
                "update" => storage.set(ConfigKey::ServerPublicKeyId, time.to_string()).await?,
                "open" => drop(black_box(ConfigStorage::open(backend()?).await?)),
                _ => return Err("unknown subject".into()),
            }
        }
        Ok(())
    })
}

/// Calls that are one batch.
async fn queue(storage: ConfigStorage, times: u64) -> Result<()> {
    let mut calls = JoinSet::new();
    for time in 0..times {
        let storage = storage.clone();
        calls.spawn(async move { storage.set(ConfigKey::ServerPublicKeyId, time.to_string()).await });
    }
    Ok(calls.join_all().await.into_iter().collect::<ksm_storage_core::Result<()>>()?)
}

/// A document of about 50 bytes a key.
fn document(keys: usize) -> String {
    let keys = (0..keys).map(|key| format!("\"key {key:06}\": \"{key:030}\""));
    format!("{{{}}}", keys.collect::<Vec<_>>().join(", "))
}

/// The toolchain, followed by a line for each subject.
fn counted() -> Result<String> {
    let rustc = Command::new(env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned())).arg("-V").output()?;
    let rustc = String::from_utf8(rustc.stdout)?;
    let mut lines = format!("{}, {} {}\n", rustc.trim(), env::consts::OS, env::consts::ARCH);
    for (subject, times) in SUBJECTS {
        // The difference of two runs excludes their common part.
        let each = (callgrind(subject, 2 * times)? - callgrind(subject, times)?) / times;
        lines += &format!("{subject} {each}\n");
    }
    Ok(lines)
}

fn callgrind(subject: &str, times: u64) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(env::current_exe()?);
    let output = valgrind.args(["--run", subject, &times.to_string()]).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count);
    match collected {
        Some(count) if output.status.success() => Ok(count.trim().parse()?),
        _ => Err(format!("valgrind failed: {text}").into()),
    }
}

fn compare() -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("left out: valgrind is not installed");
        return Ok(());
    }
    let (committed, counted) = (fs::read_to_string(committed())?, counted()?);
    let queued = count(&counted, "queued-60kB")? / count(&counted, "queued-1kB")?;
    println!("a queued write to a document of 60 kB takes {queued:.2} × the instructions of one to 1 kB");
    if queued > MOST_BY_SIZE {
        return Err(
            format!("more than {MOST_BY_SIZE}: the cost of a queued write grows with the document").into()
        );
    }
    if committed.lines().next() != counted.lines().next() {
        println!("left out: benches/instructions.txt is of another toolchain; now:\n{counted}");
        return Ok(());
    }
    let mut grown = Vec::new();
    for (subject, _) in SUBJECTS {
        let now = count(&counted, subject)?;
        let ratio = now / count(&committed, subject)?;
        println!("{subject} {now} instructions, {ratio:.3} × the committed figure");
        if ratio > MOST {
            grown.push(subject);
        }
    }
    if grown.is_empty() { Ok(()) } else { Err(format!("more than 5 % slower: {}", grown.join(", ")).into()) }
}

/// The figure in the line of this subject.
fn count(lines: &str, subject: &str) -> Result<f64> {
    let figure = lines.lines().find_map(|line| line.strip_prefix(subject)?.strip_prefix(' '));
    Ok(figure.ok_or_else(|| format!("there is no figure of {subject}"))?.parse()?)
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(COMMITTED)
}
