//! Dependencies of programs that use these crates: their number, forbidden ones, and the Rust version they require.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::run::{cargo, output, packages, say};

const NETWORK: &str = "aws-, h2, hyper, mio, native-tls, openssl, quinn, reqwest, ring, rustls, socket2";
/// The AWS SDK's old HTTP and TLS stack, which its default features enable, and the other TLS library.
const WITH_AWS_LC: &str = "hyper v0.14., h2 v0.3., rustls v0.21., ring";
const WITH_RING: &str = "hyper v0.14., h2 v0.3., rustls v0.21., aws-lc-";

pub(crate) fn trees() -> Result<()> {
    check_tree("ksm-storage-core", 40, NETWORK)?;
    let facade = |features| format!("ksm-storage --no-default-features --features {features}");
    check_tree(&facade("memory"), 40, NETWORK)?;
    check_tree(&facade("file"), 40, NETWORK)?;
    check_tree(&facade("aws"), 190, WITH_RING)?;
    check_tree(&facade("aws-minimal,tls-aws-lc"), 155, WITH_AWS_LC)
}

/// Checks that the package, with these features, has at most `most` crates in its tree and no forbidden one.
fn check_tree(package: &str, most: usize, forbidden: &str) -> Result<()> {
    let mut crates = tree(&format!("{package} --edges normal"))?;
    let count = crates.len();
    say(&format!("{package}: {count} crates"));
    ensure!(count <= most, "{package} has {count} crates, more than {most}");
    crates.retain(|name| forbidden.split(", ").any(|forbidden| is(name, forbidden)));
    ensure!(crates.is_empty(), "{package} depends on {crates:?}");
    Ok(())
}

/// Checks that no dependency, tests included, needs a newer Rust version than this workspace. Its own code is checked by
/// `clippy::incompatible_msrv`.
pub(crate) fn rust_versions() -> Result<()> {
    let parse = |version: &str| -> Vec<u32> { version.split('.').flat_map(str::parse).collect() };
    let own = parse(env!("CARGO_PKG_RUST_VERSION"));
    let mut newer = packages("--all-features")?;
    newer.retain(|package| package["rust_version"].as_str().is_some_and(|needed| parse(needed) > own));
    let newer: Vec<_> = newer.iter().map(|package| &package["id"]).collect();
    ensure!(newer.is_empty(), "dependencies that need a newer Rust than {own:?}: {newer:?}");
    Ok(())
}

/// The crates in the tree of a package, each as `name v1.2.3`.
fn tree(package: &str) -> Result<BTreeSet<String>> {
    let tree =
        output(&mut cargo(&format!("tree --locked --prefix none --format {{p}} --package {package}")))?;
    // A star marks repetitions.
    let crates = tree.lines().map(|line| line.trim_end_matches(" (*)").to_owned());
    let crates: BTreeSet<_> = crates.collect();
    ensure!(crates.len() > 1, "`cargo tree` lists nothing for {package}");
    Ok(crates)
}

/// Returns true if a crate is or belongs to the forbidden one: `hyper-util`, not `hyperfine`.
fn is(name: &str, forbidden: &str) -> bool {
    let rest = name.strip_prefix(forbidden);
    rest.is_some_and(|rest| forbidden.ends_with(['-', '.']) || rest.starts_with(['-', ' ']))
}
