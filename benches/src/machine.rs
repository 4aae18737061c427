//! The machine, and the versions of the programs that are compared.

use std::{fs, process::Command, thread};

use crate::Result;

/// The files with the versions of all peers.
const PEERS: &str =
    "`benches/startup/Cargo.lock`, `benches/reads/Cargo.lock` and `xtask/python/requirements.txt`";

pub(crate) fn describe() -> Result<Vec<String>> {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let threads = thread::available_parallelism()?;
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let rustc = String::from_utf8(Command::new("rustc").arg("--version").output()?.stdout)?;
    Ok(vec![
        format!("{model}, {threads} hardware threads, {os} {arch}"),
        rustc.trim().to_owned(),
        format!("the versions in {PEERS}"),
    ])
}
