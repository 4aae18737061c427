//! `cargo xtask api`: the public items of each published crate as text, so that a change of them shows in review.

use std::{
    env, fs,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};

use crate::{
    run::{cargo, command, output, published, root, run, target},
    tools,
};

const FOLDER: &str = "docs/api";
/// Set where this program is started in place of rustdoc.
const MARK: &str = "XTASK_AS_RUSTDOC";

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    Check,
    Write,
}

pub(crate) fn api(mode: Mode) -> Result<()> {
    // Checked first, because it may have to be installed.
    tools::PUBLIC_API.command("")?;
    // Stable rustdoc writes JSON only with RUSTC_BOOTSTRAP, which would rebuild all dependencies if cargo saw it.
    let mut doc = cargo("doc --workspace --no-deps --lib --all-features --quiet");
    doc.env("RUSTDOC", env::current_exe()?).env(MARK, "1");
    run(doc.env("RUSTDOCFLAGS", "-Z unstable-options --output-format json"))?;

    let (committed, new) = (root().join(FOLDER), target()?.join("api"));
    let _ = fs::remove_dir_all(&new);
    fs::create_dir_all(&new)?;
    for package in published()? {
        let name = package["name"].as_str().unwrap_or_default();
        let json = target()?.join("doc").join(format!("{}.json", name.replace('-', "_")));
        if !json.exists() {
            continue; // no library
        }
        // Blanket implementations are the standard library's, and the same for every type.
        let mut list = tools::PUBLIC_API.command("--omit blanket-impls --color never --rustdoc-json")?;
        let list = output(list.arg(&json))
            .context("cargo-public-api reads the output of one version of rustdoc: see xtask/src/tools.rs")?;
        fs::write(new.join(format!("{name}.txt")), list)?;
    }
    let changed =
        run(command("git --no-pager diff --no-index --exit-code --unified=0").args([&committed, &new]));
    if mode == Mode::Check {
        return changed.context("docs/api is out of date; if the change is intended, run `cargo xtask api`");
    }
    fs::remove_dir_all(&committed)?;
    fs::rename(&new, &committed).context("cannot replace docs/api")
}

pub(crate) fn replaces_rustdoc() -> bool {
    env::var_os(MARK).is_some()
}

/// Runs rustdoc with the arguments of this program, and permission to use unstable options.
pub(crate) fn rustdoc() -> ExitCode {
    let mut rustdoc = Command::new("rustdoc");
    let status = rustdoc.args(env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1").env_remove(MARK).status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
