//! `cargo xtask api`: the public items of each published crate, as text, so that a change of them shows in review.

use std::{
    collections::BTreeSet,
    env, fs,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    metadata::Metadata,
    run::{cargo, output, root, run, say, target},
    tools,
};

const FOLDER: &str = "docs/api";
const OTHER_RUST: &str =
    "the pinned cargo-public-api reads what one version of rustdoc writes: xtask/src/tools.rs says which";
/// Set where this program is started in place of rustdoc.
const MARK: &str = "XTASK_AS_RUSTDOC";

pub(crate) fn api(check: bool) -> Result<()> {
    // First, since it may have to be installed.
    tools::PUBLIC_API.command("")?;
    let metadata = Metadata::load()?;
    let crates: Vec<_> =
        metadata.members().filter(|package| package.published && package.has_lib()).collect();
    ensure!(!crates.is_empty(), "no published crate was found");
    // Only nightly writes JSON, unless RUSTC_BOOTSTRAP is set; and if it is set for all of the build, build scripts run
    // again and every dependency is compiled once more. So it is set for rustdoc alone, by this program in its place.
    let mut doc = cargo("doc --workspace --no-deps --lib --all-features --quiet");
    doc.env("RUSTDOC", env::current_exe()?).env(MARK, "1");
    run(doc.env("RUSTDOCFLAGS", "-Z unstable-options --output-format json"))?;

    let json = target()?.join("doc");
    let folder = root().join(FOLDER);
    fs::create_dir_all(&folder)?;
    let mut differ = 0;
    for package in &crates {
        let json = json.join(format!("{}.json", package.name.replace('-', "_")));
        // Blanket implementations are the standard library's, and the same for every type.
        let mut list = tools::PUBLIC_API.command("--omit blanket-impls --color never --rustdoc-json")?;
        let now = output(list.arg(&json)).context(OTHER_RUST)?;
        ensure!(now.lines().count() > 1, "the public API of {} could not be read", package.name);
        let file = folder.join(format!("{}.txt", package.name));
        let before = fs::read_to_string(&file).unwrap_or_default();
        if before == now {
            continue;
        }
        say(&format!("{FOLDER}/{}.txt", package.name));
        for line in difference(&before, &now) {
            println!("{line}");
        }
        differ += 1;
        if !check {
            fs::write(&file, now)?;
        }
    }
    let names: BTreeSet<_> = crates.iter().map(|package| format!("{}.txt", package.name)).collect();
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name();
        ensure!(names.contains(&*name.to_string_lossy()), "{FOLDER}/{}: no such crate", name.display());
    }
    say(&format!("{} crates, {differ} with changes", crates.len()));
    if check && differ > 0 {
        bail!(
            "{FOLDER} is out of date; if the change is meant, run `cargo xtask api`, and commit what it writes"
        );
    }
    Ok(())
}

/// Lines that only one of them has.
fn difference(before: &str, now: &str) -> Vec<String> {
    let lines = |text: &'_ str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (before, now) = (lines(before), lines(now));
    let removed = before.difference(&now).map(|line| format!("-{line}"));
    removed.chain(now.difference(&before).map(|line| format!("+{line}"))).collect()
}

pub(crate) fn stands_in_for_rustdoc() -> bool {
    env::var_os(MARK).is_some()
}

/// Rustdoc with the arguments of this program, and allowed to use what is not stable.
pub(crate) fn rustdoc() -> ExitCode {
    let mut rustdoc = Command::new("rustdoc");
    let status = rustdoc.args(env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1").env_remove(MARK).status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: rustdoc cannot be started: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_what_went_and_what_came() {
        assert_eq!(difference("a\nb\nc\n", "a\nc\nd\n"), ["-b", "+d"]);
        assert!(difference("a\n", "a\n").is_empty());
    }
}
