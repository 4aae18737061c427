//! Everything that is measured, built and run: the report is docs/performance.md.

use std::{fs, io::ErrorKind, path::Path, process::Command, time::Instant};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::{
    metadata::tree,
    run::{cargo, root, run, say},
};

const STARTUP: &str = "benches/startup/Cargo.toml";

/// The programs of `benches/startup`, and whether a clean build of it is timed.
const PROGRAMS: [(&str, Timed); 4] = [
    ("bare-default", Timed::No),
    ("bare-trimmed", Timed::No),
    ("ours", Timed::Yes),
    ("ours-minimal", Timed::Yes),
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
    let target = root().join("target");
    let mut noted = Map::new();
    for (name, timed) in PROGRAMS {
        run(&mut build(STARTUP, name, &target.join("startup")))?;
        let seconds = if timed == Timed::Yes && length == Length::Report {
            Some(clean_build(STARTUP, name, &target.join("clean"))?)
        } else {
            None
        };
        let crates = tree(&format!("{name} --manifest-path {STARTUP} --edges normal"))?.len();
        noted.insert(name.to_owned(), json!({ "crates": crates, "build_seconds": seconds }));
    }
    fs::write(target.join("startup/noted.json"), Value::Object(noted).to_string())?;
    run(&mut build("benches/reads/Cargo.toml", "reads", &target.join("reads")))?;

    // What criterion has estimated of other benches, some time or other, is no part of the report.
    remove(&target.join("criterion"))?;
    let mut criterion = cargo("bench --package performance --bench storage --");
    if length == Length::Quick {
        criterion.arg("--quick");
    }
    run(&mut criterion)?;
    let mut measure = cargo("run --release --package performance --");
    if length == Length::Quick {
        measure.arg("--quick");
    }
    run(&mut measure)
}

/// A build with the recommended profile; the profiles of this workspace are for its tests.
fn build(manifest: &str, package: &str, target: &Path) -> Command {
    let mut build = cargo("build --release --locked --manifest-path");
    build.arg(manifest).args(["--package", package, "--target-dir"]).arg(target);
    build
}

/// How many seconds of processor time it takes to build this from nothing; of time, where that cannot be told.
fn clean_build(manifest: &str, package: &str, target: &Path) -> Result<f64> {
    remove(target)?;
    say(&format!("{package}, from nothing"));
    let (start, before) = (Instant::now(), processor_time());
    run(&mut build(manifest, package, target))?;
    let seconds = match (before, processor_time()) {
        (Some(before), Some(after)) => after - before,
        _ => start.elapsed().as_secs_f64(),
    };
    remove(target)?;
    Ok(seconds)
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
