//! Fuzzing, on the stable toolchain: no sanitizer, which would need another one, but coverage and debug assertions.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::{
    run::{cargo, output, root, run, say},
    tools,
};

#[derive(Args)]
pub(crate) struct Options {
    /// How long each target runs
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
    /// The target to run, the name of a file in `fuzz/fuzz_targets`; all of them if none is given
    #[arg(value_parser = parse_target)]
    pub(crate) target: Option<String>,
}

/// How targets are built, and run: without what needs a nightly compiler, and in a minute or two.
const HOW: &str = "--sanitizer none --dev";
/// No input of interest is longer: longer documents differ in nothing but their length.
const LIMITS: &str = "-max_len=8192 -timeout=20 -rss_limit_mb=2048";

/// Runs the targets on the committed inputs and on what is made of them, until one fails.
pub(crate) fn fuzz(options: &Options) -> Result<()> {
    let chosen = match &options.target {
        Some(target) => BTreeSet::from([target.clone()]),
        None => targets()?,
    };
    output(&mut cargo("metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml"))
        .context("fuzz/Cargo.lock is not up to date: cargo metadata --manifest-path fuzz/Cargo.toml")?;
    run(tools::FUZZ.command(&format!("build {HOW}"))?.args(&options.target))?;
    for target in &chosen {
        run_target(target, options.seconds)?;
    }
    say(&format!("{}: nothing was found in {} s each", listed(&chosen), options.seconds));
    Ok(())
}

fn run_target(target: &str, seconds: u64) -> Result<()> {
    let seeds = files(&folder("corpus", target))?;
    ensure!(!seeds.is_empty(), "fuzz/corpus/{target} holds no inputs");
    // What is found on the way is kept for the next run, but not among what is committed.
    let grown = folder("target/corpus", target);
    fs::create_dir_all(&grown).with_context(|| format!("cannot create {}", grown.display()))?;
    let before = files(&folder("artifacts", target))?;
    let words = format!(
        "run {HOW} {target} fuzz/target/corpus/{target} fuzz/corpus/{target} -- -max_total_time={seconds} {LIMITS}"
    );
    let Err(error) = run(&mut tools::FUZZ.command(&words)?) else { return Ok(()) };
    let new: Vec<_> = files(&folder("artifacts", target))?.difference(&before).cloned().collect();
    let Some(input) = new.first() else { return Err(error) };
    let input = input.strip_prefix(root()).unwrap_or(input).display();
    Err(error.context(format!(
        "{target} fails on {input}; to try it again: cargo fuzz run {HOW} {target} {input}"
    )))
}

fn parse_target(name: &str) -> Result<String> {
    let all = targets()?;
    ensure!(all.contains(name), "there are {}", listed(&all));
    Ok(name.to_owned())
}

fn targets() -> Result<BTreeSet<String>> {
    let sources = files(&root().join("fuzz/fuzz_targets"))?;
    let names = sources.iter().filter_map(|source| Some(source.file_stem()?.to_str()?.to_owned()));
    let targets: BTreeSet<_> = names.collect();
    ensure!(!targets.is_empty(), "no target was found");
    Ok(targets)
}

fn folder(kind: &str, target: &str) -> PathBuf {
    root().join("fuzz").join(kind).join(target)
}

/// The files in a folder; none if there is no such folder.
fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    if !folder.exists() {
        return Ok(BTreeSet::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn listed(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
