//! `cargo xtask release --dry-run`: checks a release, and collects its files in `target/release-files`.

use std::fs::{self, read_to_string};

use anyhow::{Result, ensure};
use clap::Args;

use crate::{
    ci::{line, partial, run_steps, step},
    run::{clone, command, output, packages, published, root, run, say, target},
    tools,
};

/// That of every package.
const VERSION: &str = env!("CARGO_PKG_VERSION");

const PUBLISH: &str = "nothing was published; when nothing is missing, the owner runs
cargo publish --workspace --locked && git tag vVERSION && python3 -m twine upload target/release-files/wheels/*";

#[derive(Args)]
pub(crate) struct Options {
    /// Publish nothing; required, because publishing is up to the owner
    #[arg(long)]
    dry_run: bool,
    /// Run only these steps
    #[arg(value_name = "STEP")]
    only: Vec<String>,
}

pub(crate) fn release(options: &Options) -> Result<()> {
    ensure!(
        options.dry_run,
        "no task publishes; `--dry-run` names what the owner must supply, and how to publish"
    );
    let steps = vec![
        step("versions", versions),
        partial("owner", owner),
        line("public API", "xtask api --check"),
        partial("semver", semver),
        line("packages", "xtask package"),
        line("packages: order, compile", "publish --workspace --locked --dry-run"),
        step("SBOM", sbom),
        step("program", program),
        line("man pages", "xtask man"),
        line("layer", "xtask layer"),
        line("wheel and sdist", "xtask python --full"),
        step("files", files),
    ];
    run_steps(steps, &options.only)?;
    say(&PUBLISH.replace("VERSION", VERSION));
    Ok(())
}

/// Everything is committed and has one version, with which the changelog begins.
fn versions() -> Result<()> {
    let changes = output(&mut command("git status --porcelain"))?;
    ensure!(changes.is_empty(), "uncommitted changes:\n{changes}");
    for package in packages("--no-deps")? {
        ensure!(package["version"] == VERSION, "{} has version {}", package["name"], package["version"]);
    }
    let manifest = read_to_string(root().join("Cargo.toml"))?;
    let required = format!("version = \"{VERSION}\"");
    let mut own = manifest.lines().filter(|line| line.contains("path = \"crates/"));
    let other = own.find(|line| !line.contains(&required)).unwrap_or_default();
    ensure!(other.is_empty(), "a dependency on another version than {VERSION}: {other}");
    let changelog = read_to_string(root().join("CHANGELOG.md"))?;
    let heading = changelog.lines().find_map(|line| line.strip_prefix("## ")).unwrap_or_default();
    ensure!(heading.split(' ').next() == Some(VERSION), "CHANGELOG.md begins with {heading}, not {VERSION}");
    Ok(())
}

/// Returns what only the owner can supply, and has not.
fn owner() -> Result<Option<String>> {
    let security = read_to_string(root().join("SECURITY.md"))?;
    let mut missing = Vec::new();
    if published()?.iter().any(|package| package["repository"].is_null()) {
        missing.push("the URL of the repository (`repository` in each manifest)");
    }
    if !["mailto:", "https://"].iter().any(|scheme| security.contains(scheme)) {
        missing.push("a contact for reports (SECURITY.md)");
    }
    if read_to_string(root().join("CHANGELOG.md"))?.contains("(unreleased)") {
        missing.push("the date of the release (CHANGELOG.md)");
    }
    Ok((!missing.is_empty()).then(|| format!("the owner must supply {}", missing.join(", "))))
}

/// Compares the public API with that of the last release.
fn semver() -> Result<Option<String>> {
    let tags = output(&mut command("git tag --list v[0-9]* --sort=-version:refname"))?;
    let Some(tag) = tags.lines().next() else { return Ok(Some("not checked: no tag yet".to_owned())) };
    run(&mut tools::SEMVER_CHECKS.command(&format!("--workspace --all-features --baseline-rev {tag}"))?)?;
    Ok(None)
}

/// Lists the dependencies of command and wheel, in a clone, because cargo-cyclonedx writes beside the manifests.
fn sbom() -> Result<()> {
    let cyclonedx = tools::CYCLONEDX.command("--format json --spec-version 1.5 --describe binaries");
    run(cyclonedx?.current_dir(clone("release-source")?))
}

/// Builds the command with a list of its dependencies in it, which `cargo audit bin` reads.
fn program() -> Result<()> {
    run(&mut tools::AUDITABLE.command("build --release --locked --package ksm-storage-cli")?)?;
    let program = fs::read(target()?.join("release/ksm-storage"))?;
    ensure!(
        program.windows(7).any(|bytes| bytes == b".dep-v0"),
        "the program does not list its dependencies"
    );
    Ok(())
}

/// Collects what the other steps have built, with checksums.
fn files() -> Result<()> {
    let files = target()?.join("release-files");
    let _ = fs::remove_dir_all(&files);
    fs::create_dir_all(&files)?;
    for (from, to) in [
        ("release/ksm-storage", ""),
        ("release-source/crates/ksm-storage-cli/ksm-storage_bin.cdx.json", ""),
        ("release-source/crates/ksm-storage-python/_native_cdylib.cdx.json", ""),
        ("wheels/release", "wheels"),
        ("man", ""),
        ("layer", ""),
    ] {
        run(command("cp --recursive").arg(target()?.join(from)).arg(files.join(to)))?;
    }
    // The list of dependencies names the folder that they are in.
    let finish = "sed --in-place 's|file://[^\"]*/release-source|file://|' *.cdx.json && \
                  sha256sum $(find * -type f) > ../SHA256SUMS && mv ../SHA256SUMS .";
    run(command("sh -c").arg(finish).current_dir(files))
}
