//! Everything that is measured, built and run: the report is docs/performance.md.

use std::{env::consts::EXE_SUFFIX, fs, io::ErrorKind, path::Path, process::Command, time::Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    metadata::tree,
    run::{cargo, run, say, target},
};

const STARTUP: &str = "benches/startup/Cargo.toml";

/// The programs of `benches/startup`, and whether a clean build of it is timed.
const PROGRAMS: [(&str, Timed); 4] = [
    ("bare-default", Timed::No),
    ("bare-trimmed", Timed::No),
    ("ours", Timed::Yes),
    ("ours-minimal", Timed::Yes),
];

/// The smallest one is also built as cargo builds where no profile says otherwise, but stripped like the others.
const BY_DEFAULT: &str = "ours-minimal";
const DEFAULT_PROFILE: [&str; 3] = [
    "--config=profile.release.opt-level=3",
    "--config=profile.release.lto=false",
    "--config=profile.release.codegen-units=16",
];

#[derive(Clone, Copy, PartialEq)]
enum Timed {
    Yes,
    No,
}

/// Which part of the whole.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Length {
    Report,
    Quick,
}

pub(crate) fn bench(length: Length) -> Result<()> {
    let target = target()?;
    let mut noted = Vec::new();
    let startup = target.join("startup");
    for (name, timed) in PROGRAMS {
        run(&mut build(STARTUP, name, &startup))?;
        let seconds = if timed == Timed::Yes && length == Length::Report {
            let clean = target.join("clean");
            let seconds = clean_build(name, build(STARTUP, name, &clean), &clean)?;
            remove(&clean)?;
            Some(seconds)
        } else {
            None
        };
        noted.push(note(name, "", &startup, seconds)?);
    }
    let folder = target.join("startup-default");
    let mut by_default = build(STARTUP, BY_DEFAULT, &folder);
    by_default.args(DEFAULT_PROFILE);
    let seconds = if length == Length::Report {
        Some(clean_build(BY_DEFAULT, by_default, &folder)?)
    } else {
        run(&mut by_default)?;
        None
    };
    noted.push(note(BY_DEFAULT, ", cargo's default profile", &folder, seconds)?);
    fs::write(startup.join("noted.json"), Value::Array(noted).to_string())?;
    run(&mut build("benches/reads/Cargo.toml", "reads", &target.join("reads")))?;

    let quick = (length == Length::Quick).then_some("--quick");
    // What criterion has estimated of other benches, some time or other, is no part of the report.
    let estimates = target.join("criterion");
    remove(&estimates)?;
    for bench in ["--package performance --bench storage", "--package ksm-storage-testkit --bench checker"] {
        let mut criterion = cargo(&format!("bench {bench} --target-dir"));
        criterion.arg(&target).env("CRITERION_HOME", &estimates).arg("--").args(quick);
        run(&mut criterion)?;
    }
    // It looks for everything else beside itself.
    let mut measure = cargo("run --release --package performance --target-dir");
    run(measure.arg(&target).arg("--").args(quick))
}

/// What the report says of a program that is built.
fn note(name: &str, how: &str, target: &Path, seconds: Option<f64>) -> Result<Value> {
    let program = target.join("release").join(format!("{name}{EXE_SUFFIX}"));
    let size = fs::metadata(&program).with_context(|| format!("{} is not there", program.display()))?;
    let crates = tree(&format!("{name} --manifest-path {STARTUP} --edges normal"))?.len();
    let name = format!("`{name}`{how}");
    Ok(json!({ "name": name, "crates": crates, "bytes": size.len(), "build_seconds": seconds }))
}

/// A build with the recommended profile; the profiles of this workspace are for its tests.
fn build(manifest: &str, package: &str, target: &Path) -> Command {
    let mut build = cargo("build --release --locked --manifest-path");
    build.arg(manifest).args(["--package", package, "--target-dir"]).arg(target);
    build
}

/// How many seconds of processor time this build takes from nothing, in the folder that it builds into; of time, where
/// that cannot be told.
fn clean_build(name: &str, mut build: Command, target: &Path) -> Result<f64> {
    remove(target)?;
    say(&format!("{name}, from nothing"));
    let (start, before) = (Instant::now(), processor_time());
    run(&mut build)?;
    Ok(match (before, processor_time()) {
        (Some(before), Some(after)) => after - before,
        _ => start.elapsed().as_secs_f64(),
    })
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", folder.display()))
        }
        _ => Ok(()),
    }
}

/// What all processes that this one has waited for have used, in seconds:
/// <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>, fields 16 and 17.
fn processor_time() -> Option<f64> {
    /// What Linux counts in, whatever the processor.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let ticks = stat.rsplit_once(") ")?.1.split(' ').skip(13).take(2);
    Some(ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS)
}
