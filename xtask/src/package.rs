//! `cargo xtask package`: what would be uploaded, in the order in which the crates need each other.

use anyhow::{Result, ensure};

use crate::{
    metadata::{Metadata, Package},
    run::{cargo, output, run, say},
};

/// What a registry or docs.rs shows of a crate, or needs to show it.
const FIELDS: [&str; 6] = ["description", "documentation", "keywords", "categories", "license", "readme"];
const FILES: [&str; 5] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "src/lib.rs"];
/// What else may be there. Documentation is the facade's.
const FOLDERS: [&str; 3] = ["src/", "examples/", "docs/"];
const PAGES: &str = ".md";
const BY_CARGO: [&str; 3] = [".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml.orig"];

pub(crate) fn package(verify: bool) -> Result<()> {
    let metadata = Metadata::load()?;
    let published: Vec<_> = metadata.members().filter(|package| package.published).collect();
    ensure!(!published.is_empty(), "no published crate was found");
    let mut problems = Vec::new();
    for package in &published {
        // Whether everything is committed matters to a release, not to this.
        let list = format!("package --locked --allow-dirty --list --package {}", package.name);
        let files = output(&mut cargo(&list))?;
        say(&format!("{}: {} files", package.name, files.lines().count()));
        problems.extend(missing(package));
        problems.extend(wrong_files(package.name, &files));
    }
    for problem in &problems {
        say(problem);
    }
    ensure!(problems.is_empty(), "{} faults in what would be published", problems.len());

    // All at once: each finds the others, which no registry has yet, among those that were made before.
    let mut command = cargo("package --locked --allow-dirty");
    command.args(published.iter().flat_map(|package| ["--package", package.name]));
    if !verify {
        command.arg("--no-verify");
    }
    run(&mut command)
}

fn missing(package: &Package<'_>) -> Vec<String> {
    let fields = FIELDS.iter().filter(|field| !package.has(field));
    fields.map(|field| format!("{}: its manifest has no {field}", package.name)).collect()
}

/// Files that are missing from the list of a package, and those that do not belong there.
fn wrong_files(package: &str, files: &str) -> Vec<String> {
    let missing = FILES.iter().filter(|file| !files.lines().any(|found| found == **file));
    let missing = missing.map(|file| format!("{package}: {file} is missing"));
    let belongs = |file: &str| {
        FILES.contains(&file)
            || BY_CARGO.contains(&file)
            || FOLDERS.iter().any(|folder| file.starts_with(folder))
            || (file.ends_with(PAGES) && !file.contains('/'))
    };
    let others = files.lines().filter(|file| !belongs(file));
    missing.chain(others.map(|file| format!("{package}: {file} does not belong in it"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_missing_or_out_of_place_are_found() {
        let whole = [&FILES[..], &BY_CARGO, &["CHANGELOG.md", "examples/a.rs", "src/b/c.rs"]].concat();
        assert!(wrong_files("a", &whole.join("\n")).is_empty());
        let found = wrong_files("a", &whole[1..].join("\n"));
        assert_eq!(found, ["a: Cargo.toml is missing"]);
        let found = wrong_files("a", &[&whole[..], &["tests/a.rs", "deploy/a.md"]].concat().join("\n"));
        assert_eq!(found, ["a: tests/a.rs does not belong in it", "a: deploy/a.md does not belong in it"]);
    }
}
