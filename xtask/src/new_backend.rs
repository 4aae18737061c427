//! `cargo xtask new-backend`: a copy of the memory backend under another name, registered everywhere.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::run::{cargo, output, root, run, say};

const MODEL: &str = "crates/ksm-storage-memory";

/// File, beginning of the line after which to insert, and the text, with the placeholders `NAME`, `IDENT` and `Type`.
const INSERTIONS: [(&str, &str, &str); 10] = [
    ("Cargo.toml", "ksm-storage-memory = ", WORKSPACE_DEPENDENCY),
    (FACADE, "ksm-storage-memory = { path", DEV_DEPENDENCY),
    (FACADE, "ksm-storage-memory = { workspace", DEPENDENCY),
    (FACADE, "memory = [", "NAME = [\"dep:ksm-storage-NAME\"]"),
    (LIBRARY, "pub use ksm_storage_memory as memory;", REEXPORT),
    (MATRIX, "use ksm_storage_memory", FIXTURE),
    (MATRIX, "        Backend::new(\"memory\"", BACKEND),
    ("README.md", "| `memory` (default) |", README),
    ("docs/reference.md", "| memory | always", "| NAME | always, before its own | 65536 bytes | yes |"),
    ("CHANGELOG.md", "- `ksm-storage-memory`", CHANGELOG),
];

const FACADE: &str = "crates/ksm-storage/Cargo.toml";
const LIBRARY: &str = "crates/ksm-storage/src/lib.rs";
const MATRIX: &str = "crates/ksm-storage/tests/conformance/backends.rs";
const WORKSPACE_DEPENDENCY: &str = concat!(
    "ksm-storage-NAME = { path = \"crates/ksm-storage-NAME\", version = \"",
    env!("CARGO_PKG_VERSION"),
    "\" }"
);
const DEV_DEPENDENCY: &str = r#"ksm-storage-NAME = { path = "../ksm-storage-NAME", features = ["testing"] }"#;
const DEPENDENCY: &str = "ksm-storage-NAME = { workspace = true, optional = true }";
const REEXPORT: &str = "#[cfg(feature = \"NAME\")]\npub use ksm_storage_IDENT as IDENT;";
const FIXTURE: &str = "#[cfg(feature = \"NAME\")]\nuse ksm_storage_IDENT::testing::TypeFixture;";
const BACKEND: &str = r#"        #[cfg(feature = "NAME")]
        Backend::new("NAME", || Ok(Arc::new(TypeFixture::new()))).fast(),"#;
const README: &str = "| `NAME` | `IDENT::TypeBackend`: (where it stores) |";
const CHANGELOG: &str = "- `ksm-storage-NAME` (feature `NAME`): (where it stores).";

pub(crate) fn new_backend(name: &str) -> Result<()> {
    let package = format!("ksm-storage-{name}");
    let folder = root().join("crates").join(&package);
    ensure!(!folder.exists(), "crates/{package} exists already");
    let taken = fs::read_to_string(root().join(FACADE))?.contains(&format!("\n{name} = ["));
    ensure!(!taken, "ksm-storage already has a feature `{name}`");
    // Check everything first, so that nothing is written if the workspace is not as expected.
    let mut changed = BTreeMap::new();
    for (file, line, text) in INSERTIONS {
        let before = changed.remove(file).map_or_else(|| fs::read_to_string(root().join(file)), Ok)?;
        let after = insert(&before, line, &fill(text, name));
        changed.insert(file, after.with_context(|| format!("{file} has no line `{line}`"))?);
    }
    copy(&root().join(MODEL), &folder, name)?;
    for (file, text) in changed {
        let member = fill("\"crates/ksm-storage-memory\", \"crates/ksm-storage-NAME\"", name);
        fs::write(root().join(file), text.replacen("\"crates/ksm-storage-memory\"", &member, 1))?;
    }
    // The name affects line breaks and the order of imports.
    run(&mut cargo(&format!("fmt --package {package}")))?;
    // Adds the crate to the lock file.
    output(&mut cargo("metadata --format-version 1"))?;
    say(&format!(
        "created crates/{package}, a copy of ksm-storage-memory, and registered it\n\n\
         Next, replace its store by your own, as CONTRIBUTING.md explains, and complete the lines of the README and\n\
         the CHANGELOG. Then run `cargo xtask check-backend {name}`."
    ));
    Ok(())
}

fn insert(before: &str, line: &str, text: &str) -> Option<String> {
    let start = if before.starts_with(line) { 0 } else { before.find(&format!("\n{line}"))? + 1 };
    let end = start + before[start..].find('\n')? + 1;
    Some(format!("{}{text}\n{}", &before[..end], &before[end..]))
}

fn copy(from: &Path, to: &Path, name: &str) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to, name)?;
            continue;
        }
        let text = fs::read_to_string(&from)?
            .replace("ksm-storage-memory", &fill("ksm-storage-NAME", name))
            .replace("ksm_storage_memory", &fill("ksm_storage_IDENT", name))
            .replace("\"memory\"", &fill("\"NAME\"", name))
            .replace("Memory", &fill("Type", name));
        fs::write(&to, text)?;
    }
    Ok(())
}

/// Parses the part after `ksm-storage-` in a crate's name: lower-case words separated by hyphens.
pub(crate) fn parse_name(name: &str) -> Result<String> {
    let is_word = |word: &str| {
        let letter = word.starts_with(|first: char| first.is_ascii_lowercase());
        letter && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let valid = name.split('-').all(is_word) && !name.starts_with("ksm-");
    ensure!(valid, "expected lower-case letters and digits, such as `redis` or `gcp-secret`");
    ensure!(!KEYWORDS.contains(&name), "`{name}` is a keyword of Rust, and cannot name a module");
    Ok(name.to_owned())
}

const KEYWORDS: [&str; 12] =
    ["as", "async", "box", "dyn", "extern", "mod", "self", "static", "super", "type", "use", "yield"];

fn fill(template: &str, name: &str) -> String {
    let capitalized = |word: &str| word[..1].to_uppercase() + &word[1..];
    let prefix: String = name.split('-').map(capitalized).collect();
    template.replace("IDENT", &name.replace('-', "_")).replace("Type", &prefix).replace("NAME", name)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn names_are_lower_case_words() {
        let valid = |name: &&str| parse_name(name).is_ok();
        assert!(["file", "s3", "gcp-secret"].iter().all(valid));
        assert!(!["", "File", "3s", "-a", "a-", "a_b", "../a", "a b", "ksm-storage-a"].iter().any(valid));
    }

    #[test]
    fn every_insertion_finds_its_line() {
        assert_eq!(fill("IDENT::TypeBackend NAME", "gcp-secret"), "gcp_secret::GcpSecretBackend gcp-secret");
        for (file, line, _) in INSERTIONS {
            let text = fs::read_to_string(root().join(file)).unwrap();
            let inserted = insert(&text, line, "new").unwrap();
            assert_eq!(inserted.lines().count(), text.lines().count() + 1, "{file}");
        }
        assert_eq!(insert("a\nbc\nd\n", "b", "new").unwrap(), "a\nbc\nnew\nd\n");
        assert!(insert("ab\n", "b", "new").is_none());
    }
}
