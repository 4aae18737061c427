//! Every check there is.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use self::Check::{Partial, Whole};
use crate::{
    api, documents, fuzz, infrastructure,
    metadata::{Metadata, tree},
    mutants, new_backend_check, package,
    run::{cargo, output, root, run, run_and_keep, say},
    source, tasks, tools,
};

#[derive(Clone, Copy)]
enum Check {
    Whole(fn() -> Result<()>),
    /// May leave something out, and then says what.
    Partial(fn() -> Result<Option<String>>),
}

type Step = (&'static str, Check);

const STEPS: &[Step] = &[
    ("lock file", Whole(|| Metadata::load().map(drop))),
    ("source", Whole(source::check)),
    ("documents", Whole(documents::check)),
    ("infrastructure", Partial(infrastructure::check)),
    (
        "fmt",
        Whole(|| {
            run(&mut cargo("fmt --all -- --check"))?;
            run(&mut cargo("fmt --manifest-path fuzz/Cargo.toml -- --check"))
        }),
    ),
    ("clippy", Whole(clippy)),
    (
        "rustdoc",
        Whole(|| run(cargo("doc --workspace --no-deps --all-features").env("RUSTDOCFLAGS", "-D warnings"))),
    ),
    ("public API", Whole(|| api::api(true))),
    ("package", Whole(|| package::package(false))),
    ("dependency tree", Whole(dependency_tree)),
    ("dependency tree: aws", Whole(aws_tree)),
    ("programs that are measured", Whole(programs)),
    (
        "rust versions: code",
        Whole(|| run(&mut cargo("clippy --workspace --all-features -- -D clippy::incompatible_msrv"))),
    ),
    ("rust versions: dependencies", Whole(rust_versions)),
    ("new backend", Whole(new_backend_check::check)),
    ("test", Whole(tasks::test)),
    ("test: ring", Whole(ring)),
    ("conformance", Whole(|| conformance(&["--require-all"]))),
    ("conformance: broken", Whole(|| conformance(&["--broken"]))),
    ("conformance: histories", Whole(|| conformance(&["--histories", "2000"]))),
    ("schedules", Whole(|| tasks::schedules(&[]))),
    ("fuzz", Whole(|| fuzz::fuzz(&fuzz::Options { seconds: 10, target: None }))),
    ("mutants of the last change", Partial(mutants::last_change)),
    ("unused dependencies", Whole(|| run(&mut tools::MACHETE.command("")?))),
    (
        "licences, bans, sources",
        Whole(|| {
            let check = "--all-features check --hide-inclusion-graph licenses bans sources";
            run(&mut tools::DENY.command(check)?)
        }),
    ),
];

/// What the checks are called.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|(name, _)| *name)
}

/// Runs the checks of these names; all of them without any.
pub(crate) fn ci(only: &[String]) -> Result<()> {
    let known = Command::new("git").current_dir(root()).args(["rev-parse", "--is-inside-work-tree"]).output();
    ensure!(
        known.is_ok_and(|output| output.status.success()),
        "the checks look at the files that git knows, and git is missing, or this is no work tree of it"
    );
    let chosen = |(name, _): &&Step| only.is_empty() || only.iter().any(|wanted| wanted == name);
    run_steps(&STEPS.iter().filter(chosen).copied().collect::<Vec<_>>())
}

/// Runs all steps, whatever becomes of the earlier ones, and fails with the list of those that did.
fn run_steps(steps: &[Step]) -> Result<()> {
    let mut results = Vec::new();
    for (name, check) in steps {
        say(&format!("\n=== {name}"));
        let start = Instant::now();
        let result = match check {
            Whole(check) => check().map(|()| None),
            Partial(check) => check(),
        };
        if let Err(error) = &result {
            say(&format!("error: {error:#}"));
        }
        say(&format!("=== {name}: {:.1} s", start.elapsed().as_secs_f64()));
        results.push((*name, start.elapsed(), result));
    }
    say("\nsummary");
    for (name, time, result) in &results {
        say(&format!("{:>7.1} s  {}", time.as_secs_f64(), in_summary(name, result)));
    }
    let total: Duration = results.iter().map(|(_, time, _)| *time).sum();
    say(&format!("{:>7.1} s  in all", total.as_secs_f64()));
    let failed: Vec<_> =
        results.iter().filter(|(.., result)| result.is_err()).map(|(name, ..)| *name).collect();
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// What is left out must not pass for checked.
fn in_summary(name: &str, result: &Result<Option<String>>) -> String {
    match result {
        Ok(None) => format!("passed   {name}"),
        Ok(Some(left_out)) => format!("in part  {name}: {left_out}"),
        Err(_) => format!("FAILED   {name}"),
    }
}

/// Every set of features that changes what is compiled, and everything at once.
fn clippy() -> Result<()> {
    let single = ["memory", "file", "aws-minimal", "aws-minimal,tls-ring", "aws", "keeper"]
        .map(|name| format!("--no-default-features --features {name}"));
    for features in ["--no-default-features", "--all-features"].map(str::to_owned).iter().chain(&single) {
        run(&mut cargo(&format!("clippy --package ksm-storage {features} -- -D warnings")))?;
    }
    run(&mut cargo("clippy --workspace --all-targets --all-features -- -D warnings"))?;
    let mut schedules = tasks::explored("clippy --package ksm-storage-core --all-targets");
    run(schedules.args(["--", "-D", "warnings"]))
}

fn conformance(arguments: &[&str]) -> Result<()> {
    tasks::conformance(&arguments.iter().map(Into::into).collect::<Vec<_>>())
}

/// Crates that mean a network, TLS or AWS.
const HEAVY: &[&str] =
    &["aws-", "h2", "hyper", "mio", "native-tls", "openssl", "quinn", "reqwest", "ring", "rustls", "socket2"];
const MOST_CRATES: usize = 40;

/// A build with nothing but memory or a file has no network, TLS or AWS in it, and stays small; core likewise.
fn dependency_tree() -> Result<()> {
    for package in [
        "ksm-storage --no-default-features --features memory",
        "ksm-storage --no-default-features --features file",
        "ksm-storage-core",
    ] {
        let crates = tree(&format!("{package} --edges normal"))?;
        say(&format!("{package}: {} crates", crates.len()));
        ensure!(crates.len() > 1, "the tree of {package} could not be read");
        let heavy: Vec<_> = crates.iter().map(|(name, _)| &**name).filter(|name| is_heavy(name)).collect();
        ensure!(heavy.is_empty(), "{package} depends on {}", heavy.join(", "));
        ensure!(
            crates.len() <= MOST_CRATES,
            "{package} has {} crates, and may have {MOST_CRATES}",
            crates.len()
        );
    }
    Ok(())
}

/// The old HTTP and TLS stack of the AWS SDK, which its default features bring with them.
const UNWANTED_WITH_AWS: &[(&str, &str)] = &[("hyper", "0.14."), ("h2", "0.3."), ("rustls", "0.21.")];

/// How many crates a program that opens a secret may have in it, this workspace's included, and which of the two TLS
/// libraries it must not have.
const AWS: &[(&str, usize, &str)] = &[("aws", 160, "ring"), ("aws-minimal,tls-ring", 150, "aws-lc-")];

fn aws_tree() -> Result<()> {
    for (features, most, other) in AWS {
        let crates =
            tree(&format!("ksm-storage --no-default-features --features {features} --edges normal"))?;
        say(&format!("ksm-storage with {features}: {} crates", crates.len()));
        ensure!(
            crates.iter().any(|(name, _)| name == "aws-sdk-secretsmanager"),
            "the tree could not be read"
        );
        ensure!(crates.len() <= *most, "{features} has {} crates, and may have {most}", crates.len());
        for (name, version) in UNWANTED_WITH_AWS {
            let found = crates.iter().find(|(found, has)| found == name && has.starts_with(version));
            ensure!(found.is_none(), "{features} brings {name} {version}x");
        }
        let found = crates.iter().find(|(name, _)| name.starts_with(other));
        ensure!(found.is_none(), "{features} brings {found:?}, which is for another feature");
    }
    // A server needs hyper's `server` feature, which nothing else asks for.
    let edges = "tree --locked --prefix none --package ksm-storage --no-default-features --features aws --edges features,normal";
    let listed = output(&mut cargo(edges))?;
    ensure!(listed.contains("hyper feature"), "the features could not be read");
    ensure!(!listed.contains("hyper feature \"server\""), "the feature aws brings an HTTP server");
    Ok(())
}

fn is_heavy(name: &str) -> bool {
    HEAVY.iter().any(|heavy| {
        name.strip_prefix(heavy)
            .is_some_and(|rest| heavy.ends_with('-') || rest.is_empty() || rest.starts_with('-'))
    })
}

/// What `cargo xtask bench` builds is no part of this workspace: here it is looked at without being built.
fn programs() -> Result<()> {
    for folder in ["benches/startup", "benches/reads"] {
        let manifest = format!("--manifest-path {folder}/Cargo.toml");
        run(&mut cargo(&format!("fmt --all {manifest} -- --check")))?;
        // Fails where the lock file is out of date, or a feature is asked for that a crate here does not have.
        output(&mut cargo(&format!("metadata --format-version 1 --locked {manifest}")))?;
    }
    Ok(())
}

/// Certificate authorities and proxies once more, in a program that uses ring. It has the name of the one that uses aws-lc,
/// and is in a folder of its own for that.
fn ring() -> Result<()> {
    let features = "--no-default-features --features aws-minimal,tls-ring,testing --target-dir target/ring";
    run(&mut cargo(&format!("build --package ksm-storage {features} --example aws")))?;
    let tests = run_and_keep(&mut cargo(&format!("test --package ksm-storage {features} --test network")))?;
    ensure!(tasks::passed(&tests) > 0, "no test was found");
    Ok(())
}

/// No published crate depends on what states a newer Rust than it does; what only its tests need does not count.
fn rust_versions() -> Result<()> {
    let metadata = Metadata::load()?;
    let stated: BTreeMap<_, _> =
        metadata.packages().map(|package| ((package.name, package.version), package.rust_version)).collect();
    let mut offending = Vec::new();
    let mut checked = 0;
    for member in metadata.members().filter(|member| member.published) {
        let own = member.rust_version.with_context(|| format!("{} states no rust-version", member.name))?;
        checked += 1;
        for (name, version) in tree(&format!("{} --all-features --edges normal,build", member.name))? {
            let needed =
                stated.get(&(&*name, &*version)).with_context(|| format!("{name} {version} is unknown"))?;
            if needed.is_some_and(|needed| needed > own) {
                offending.push(format!("{} < {name} {version}", member.name));
            }
        }
    }
    say(&format!("{checked} crates"));
    ensure!(checked > 0, "no published crate was found");
    ensure!(offending.is_empty(), "dependencies that need a newer Rust: {}", offending.join("; "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn heavy_crates_are_told_from_others_by_their_whole_name() {
        for name in ["aws-config", "rustls", "rustls-webpki", "hyper", "hyper-util", "ring"] {
            assert!(is_heavy(name), "{name}");
        }
        for name in ["string", "awsome", "mioco", "tokio", "h2o"] {
            assert!(!is_heavy(name), "{name}");
        }
    }

    #[test]
    fn a_failed_step_fails_the_run_and_the_others_still_run() {
        use std::sync::atomic::{AtomicBool, Ordering};
        static RAN: AtomicBool = AtomicBool::new(false);
        let steps: &[Step] = &[
            ("one", Whole(|| bail!("no"))),
            (
                "two",
                Partial(|| {
                    RAN.store(true, Ordering::Relaxed);
                    Ok(Some("a half".to_owned()))
                }),
            ),
        ];
        assert_eq!(run_steps(steps).unwrap_err().to_string(), "failed: one");
        assert!(RAN.load(Ordering::Relaxed));
        assert_eq!(in_summary("two", &Ok(Some("a half".to_owned()))), "in part  two: a half");
    }
}
