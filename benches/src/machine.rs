//! The machine, and the versions of the programs that are compared.

use std::{fs, process::Command, thread};

use crate::{Result, root};

/// Lines of a lock file or a list of requirements that name the version of a peer.
const PEERS: [(&str, &[&str]); 3] = [
    ("benches/startup/Cargo.lock", &["aws-config", "aws-sdk-secretsmanager", "aws-lc-rs", "ring", "rustls"]),
    ("benches/reads/Cargo.lock", &["aws_secretsmanager_caching"]),
    ("xtask/python/requirements.txt", &["boto3", "keeper-secrets-manager-storage"]),
];

pub(crate) fn describe() -> Result<Vec<String>> {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let threads = thread::available_parallelism()?;
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let rustc = String::from_utf8(Command::new("rustc").arg("--version").output()?.stdout)?;
    let mut lines =
        vec![format!("{model}, {threads} hardware threads, {os} {arch}"), rustc.trim().to_owned()];
    for (file, names) in PEERS {
        let text = fs::read_to_string(root().join(file))?.replace("\"\nversion = \"", "==");
        let versions = text.lines().map(|line| line.trim_start_matches("name = \"").trim_end_matches('"'));
        let named = |line: &&str| line.split_once("==").is_some_and(|(name, _)| names.contains(&name));
        lines.extend(versions.filter(named).map(|line| line.replace("==", " ")));
    }
    Ok(lines)
}
