//! `cargo xtask api`: the public items of each published crate as text, so that changes show in review.

use std::fs;

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    run::{cargo, command, output, published, root, run, target},
    tools,
};

const FOLDER: &str = "docs/api";

#[derive(Args)]
pub(crate) struct Options {
    /// Only compare, and fail if there are differences
    #[arg(long)]
    check: bool,
}

pub(crate) fn api(options: &Options) -> Result<()> {
    // Stable rustdoc writes JSON only with RUSTC_BOOTSTRAP, which affects dependencies too, so it has its own folder.
    let folder = target()?.join("api-doc");
    let mut doc = cargo("doc --workspace --no-deps --lib --all-features --quiet --target-dir");
    doc.arg(&folder).env("RUSTC_BOOTSTRAP", "1");
    run(doc.env("RUSTDOCFLAGS", "-Z unstable-options --output-format json"))?;

    let (committed, new) = (root().join(FOLDER), target()?.join("api"));
    let _ = fs::remove_dir_all(&new);
    fs::create_dir_all(&new)?;
    for package in published()? {
        let name = package["name"].as_str().unwrap_or_default();
        let json = folder.join("doc").join(format!("{}.json", name.replace('-', "_")));
        if !json.exists() {
            continue; // no library
        }
        // Blanket implementations belong to the standard library, and are the same for every type.
        let mut list = tools::PUBLIC_API.command("--omit blanket-impls --color never --rustdoc-json")?;
        let list = output(list.arg(&json))
            .context("cargo-public-api reads the output of one version of rustdoc: see xtask/src/tools.rs")?;
        fs::write(new.join(format!("{name}.txt")), list)?;
    }
    let changed =
        run(command("git --no-pager diff --no-index --exit-code --unified=0").args([&committed, &new]));
    if options.check {
        return changed.context("docs/api is out of date; if the change is intended, run `cargo xtask api`");
    }
    fs::remove_dir_all(&committed)?;
    fs::rename(&new, &committed).context("cannot replace docs/api")
}
