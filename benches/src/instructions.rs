//! How many instructions something takes, counted by callgrind.

use std::{
    env,
    hint::black_box,
    process::{Command, Stdio},
    sync::Arc,
};

use clap::ValueEnum;
use ksm_storage_aws::{AwsSecretBackend, Concurrency};
use ksm_storage_core::{ConfigDocument, ConfigKey, ConfigStorage};
use ksm_storage_memory::MemoryBackend;

use crate::{Result, service};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum What {
    /// One key from an open storage
    Get,
    /// A document from its bytes
    Parse,
    /// A storage on the emulator in process
    Open,
}

/// Instructions of one `get`, one parse and one `open`; `None` where valgrind is missing.
pub(crate) fn measure() -> Result<Option<[u64; 3]>> {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Ok(None);
    }
    let counts = [(What::Get, 10_000), (What::Parse, 1_000), (What::Open, 100)];
    let counts = counts.map(|(what, times)| -> Result<u64> {
        // What both runs do once is no part of the difference.
        Ok((count(what, times * 2)?.saturating_sub(count(what, times)?)) / u64::from(times))
    });
    let [get, parse, open] = counts;
    Ok(Some([get?, parse?, open?]))
}

fn count(what: What, times: u32) -> Result<u64> {
    let name = what.to_possible_value().ok_or("it has no name")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["repeat", name.get_name(), &times.to_string()])
        .env("LC_ALL", "C")
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let collected = log.lines().find_map(|line| line.split_once("Collected : "));
    match collected {
        Some((_, count)) if output.status.success() => Ok(count.trim().parse()?),
        _ => Err(format!("valgrind failed: {log}").into()),
    }
}

/// What is counted.
pub(crate) fn repeat(what: What, times: u32) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let json = service::CONFIGURATION;
    match what {
        What::Get => {
            let storage = runtime.block_on(ConfigStorage::open(MemoryBackend::from_config(json)))?;
            for _ in 0..times {
                black_box(storage.get(black_box(ConfigKey::PrivateKey)));
            }
        }
        What::Parse => {
            for _ in 0..times {
                black_box(ConfigDocument::parse(black_box(json.as_bytes()))?);
            }
        }
        What::Open => {
            let client = Arc::new(service::emulator(json));
            for _ in 0..times {
                let id = "ksm-config".parse()?;
                let client = Arc::clone(&client);
                let backend = AwsSecretBackend::new(client, id, "us-east-1", Concurrency::default());
                black_box(runtime.block_on(ConfigStorage::open(backend))?);
            }
        }
    }
    Ok(())
}
