//! The dependencies of programs that use these crates: number of crates, forbidden ones, and the Rust version they need.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::run::{cargo, output, packages, published, say};

const NETWORK: &str = "aws- h2 hyper mio native-tls openssl quinn reqwest ring rustls socket2";
/// The old HTTP and TLS stack of the AWS SDK, which its default features enable, and the other TLS library.
const WITH_AWS_LC: &str = "hyper@0.14. h2@0.3. rustls@0.21. ring";
const WITH_RING: &str = "hyper@0.14. h2@0.3. rustls@0.21. aws-lc-";

pub(crate) fn trees() -> Result<()> {
    check_tree("ksm-storage-core", 40, NETWORK)?;
    let facade = |features| format!("ksm-storage --no-default-features --features {features}");
    check_tree(&facade("memory"), 40, NETWORK)?;
    check_tree(&facade("file"), 40, NETWORK)?;
    check_tree(&facade("aws"), 190, WITH_RING)?;
    check_tree(&facade("aws-minimal,tls-aws-lc"), 155, WITH_AWS_LC)
}

/// The package (and features) has at most so many crates in its tree, its own included, and no forbidden one.
fn check_tree(package: &str, most: usize, forbidden: &str) -> Result<()> {
    let mut crates = tree(&format!("{package} --edges normal"))?;
    let count = crates.len();
    say(&format!("{package}: {count} crates"));
    ensure!(count <= most, "{package} has {count} crates, and may have {most}");
    crates.retain(|name| forbidden.split(' ').any(|forbidden| is(name, forbidden)));
    ensure!(crates.is_empty(), "{package} depends on {crates:?}");
    Ok(())
}

/// No published crate depends on one that states a newer Rust than it does, except for its tests. Its own code is checked
/// by `clippy::incompatible_msrv`.
pub(crate) fn rust_versions() -> Result<()> {
    let stated: BTreeMap<_, _> = packages("--all-features")?
        .iter()
        .map(|package| {
            let name = format!("{}@{}", text(package, "name"), text(package, "version"));
            (name, rust_version(package))
        })
        .collect();
    for package in published()? {
        let (name, own) = (text(&package, "name"), rust_version(&package));
        // Tests may need a newer Rust, those of users included.
        let features = package["features"].as_object().into_iter().flatten().map(|(feature, _)| &**feature);
        let features: Vec<_> = features.filter(|feature| *feature != "testing").collect();
        let mut crates = tree(&format!("{name} --features={} --edges normal,build", features.join(",")))?;
        crates.retain(|name| stated.get(name).is_some_and(|needed| *needed > own));
        ensure!(crates.is_empty(), "{name} depends on crates that need a newer Rust: {crates:?}");
    }
    Ok(())
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

/// Zero if the package states none.
fn rust_version(package: &Value) -> [u64; 3] {
    let mut parts = text(package, "rust_version").split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

/// The crates in the tree of a package, as `name@version`.
fn tree(package: &str) -> Result<BTreeSet<String>> {
    let tree =
        output(&mut cargo(&format!("tree --locked --prefix none --format {{p}} --package {package}")))?;
    let shorten = |line: &str| {
        let (name, rest) = line.split_once(" v")?;
        Some(format!("{name}@{}", rest.split(' ').next()?))
    };
    let crates: BTreeSet<_> = tree.lines().filter_map(shorten).collect();
    ensure!(crates.len() > 1, "`cargo tree` lists nothing for {package}");
    Ok(crates)
}

/// Returns true if a crate, as `name@version`, is the forbidden one or a part of it: `hyper` is `hyper-util`, not `hyperfine`.
fn is(name: &str, forbidden: &str) -> bool {
    let rest = name.strip_prefix(forbidden);
    rest.is_some_and(|rest| forbidden.ends_with(['-', '.']) || rest.starts_with(['-', '@']))
}
