//! Where it was measured, and what.

use std::{fs, process::Command, thread};

use crate::{Result, root};

/// Lines of text: the machine, and the versions that matter.
pub(crate) fn describe() -> Result<Vec<String>> {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let threads = thread::available_parallelism()?;
    let rustc = String::from_utf8(Command::new("rustc").arg("--version").output()?.stdout)?;
    let mut lines = vec![
        format!(
            "{model}, {threads} hardware threads, {} {} {}",
            std::env::consts::OS,
            kernel.trim(),
            std::env::consts::ARCH
        ),
        rustc.trim().to_owned(),
    ];
    for (file, names) in [
        (
            "benches/startup/Cargo.lock",
            &["aws-config", "aws-sdk-secretsmanager", "aws-lc-rs", "ring", "rustls"][..],
        ),
        ("benches/reads/Cargo.lock", &["aws_secretsmanager_caching"]),
    ] {
        let lock = fs::read_to_string(root().join(file))?;
        lines.extend(names.iter().map(|name| format!("{name} {}", versions(&lock, name).join(" and "))));
    }
    let python = fs::read_to_string(root().join("xtask/python/requirements.txt"))?;
    let of_interest = ["boto3==", "keeper-secrets-manager-storage=="];
    let python = python.lines().filter(|line| of_interest.iter().any(|name| line.starts_with(name)));
    lines.extend(python.map(|line| line.replace("==", " ")));
    Ok(lines)
}

/// The versions of a package that a lock file names.
fn versions<'a>(lock: &'a str, name: &str) -> Vec<&'a str> {
    let line = format!("name = \"{name}\"");
    let mut lines = lock.lines();
    let mut found = Vec::new();
    while lines.any(|next| next == line) {
        found.extend(lines.next().and_then(|next| next.strip_prefix("version = \"")?.strip_suffix('"')));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::versions;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"ab\"\nversion = \"2.0.0\"\n\n\
                    [[package]]\nname = \"a\"\nversion = \"3.0.0\"\n";
        assert_eq!(versions(lock, "a"), ["1.0.0", "3.0.0"]);
        assert!(versions(lock, "b").is_empty());
    }
}
