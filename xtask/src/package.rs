//! `cargo xtask package`: the packages as they would be uploaded.

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::run::{cargo, output, published, run};

/// Manifest fields shown by a registry or docs.rs.
const FIELDS: [&str; 6] = ["description", "documentation", "keywords", "categories", "license", "readme"];
const FILES: [&str; 4] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

#[derive(Args)]
pub(crate) struct Options {
    /// Also compile each package as its users would; this takes minutes
    #[arg(long)]
    verify: bool,
}

pub(crate) fn package(options: &Options) -> Result<()> {
    let published = published()?;
    let mut problems = Vec::new();
    let mut packages = Vec::new();
    for package in &published {
        let name = package["name"].as_str().unwrap_or_default();
        // Uncommitted changes matter only to a release.
        let files = output(&mut cargo(&format!("package --locked --allow-dirty --list --package {name}")))?;
        let missing = FILES.iter().filter(|file| !files.lines().any(|found| found == **file));
        problems.extend(missing.map(|file| format!("{name}: {file} is missing")));
        if files.lines().any(|file| file.starts_with("tests/")) {
            problems.push(format!("{name}: it includes tests, which do not compile in a package"));
        }
        let missing =
            FIELDS.iter().filter(|&field| [Value::Null, Value::Array(vec![])].contains(&package[field]));
        problems.extend(missing.map(|field| format!("{name}: the manifest has no {field}")));
        if package["metadata"]["docs"]["rs"]["all-features"] != true {
            problems.push(format!("{name}: the manifest does not ask docs.rs for all features"));
        }
        packages.extend(["--package", name]);
    }
    ensure!(problems.is_empty(), "problems of packages:\n{}", problems.join("\n"));
    ensure!(!packages.is_empty(), "no package is published");
    // All at once, because the packages depend on each other and are not published yet.
    let verify = (!options.verify).then_some("--no-verify");
    run(cargo("package --locked --allow-dirty").args(packages).args(verify))
}
