//! `cargo xtask new-backend`: a copy of the memory backend under another name, registered everywhere.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, ensure};

use crate::run::{cargo, command, output, root, run, say};

const FACADE: &str = "crates/ksm-storage/Cargo.toml";
const MATRIX: &str = "crates/ksm-storage/tests/matrix/backends.rs";

/// The lines that register the memory backend: the file, and the beginning of the line. The new backend gets the same.
const LINES: [(&str, &str); 11] = [
    ("Cargo.toml", "    \"crates/ksm-storage-memory\""),
    ("Cargo.toml", "ksm-storage-memory = "),
    (FACADE, "ksm-storage-memory = { path"),
    (FACADE, "ksm-storage-memory = { workspace"),
    (FACADE, "memory = ["),
    ("crates/ksm-storage/src/lib.rs", "pub use ksm_storage_memory"),
    (MATRIX, "use ksm_storage_memory"),
    (MATRIX, "        Backend::new(\"memory\""),
    ("README.md", "| `memory`"),
    ("docs/reference.md", "| memory |"),
    ("CHANGELOG.md", "- `ksm-storage-memory`"),
];

pub(crate) fn new_backend(name: &str) -> Result<()> {
    let package = format!("ksm-storage-{name}");
    ensure!(!root().join("crates").join(&package).exists(), "crates/{package} exists already");
    let taken = fs::read_to_string(root().join(FACADE))?.contains(&format!("\n{name} = ["));
    ensure!(!taken, "ksm-storage has a feature `{name}` already");
    // Nothing is written if the workspace is not as expected.
    let mut files = registered(name)?;
    for file in output(&mut command("git ls-files crates/ksm-storage-memory"))?.lines() {
        let text = fs::read_to_string(root().join(file))?;
        files.insert(file.replace("ksm-storage-memory", &package), rename(&text, name));
    }
    for (file, text) in files {
        let path = root().join(file);
        fs::create_dir_all(path.parent().unwrap_or(root()))?;
        fs::write(path, text)?;
    }
    // Line breaks and the order of imports depend on the name.
    run(&mut cargo(&format!("fmt --package {package} --package ksm-storage")))?;
    // Adds the crate to the lock file.
    output(&mut cargo("metadata --format-version 1"))?;
    say(&format!(
        "created crates/{package}, a copy of ksm-storage-memory, and registered it\n\n\
         Next, replace its store by your own, as CONTRIBUTING.md explains, and correct the lines of the README,\n\
         docs/reference.md and the CHANGELOG. Then run `cargo xtask check-backend {name}`."
    ));
    Ok(())
}

/// Parses the part after `ksm-storage-` in a crate's name: lower-case words separated by hyphens.
pub(crate) fn parse_name(name: &str) -> Result<String> {
    let is_word = |word: &str| word.starts_with(|first: char| first.is_ascii_lowercase());
    let is_valid = |char| matches!(char, 'a'..='z' | '0'..='9' | '-');
    let is_valid = name.split('-').all(is_word) && name.chars().all(is_valid);
    ensure!(is_valid, "expected a name such as `redis` or `gcp-secret`");
    Ok(name.to_owned())
}

/// The files that [`LINES`] names, with the lines of the new backend.
fn registered(name: &str) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for (file, start) in LINES {
        let text = files.remove(file).map_or_else(|| fs::read_to_string(root().join(file)), Ok)?;
        let repeated = repeat(&text, start, name);
        files.insert(file.to_owned(), repeated.with_context(|| format!("{file} has no line `{start}`"))?);
    }
    Ok(files)
}

/// Repeats a line, and the attributes before it, for the new backend.
fn repeat(text: &str, start: &str, name: &str) -> Option<String> {
    let line = text.find(&format!("\n{start}"))? + 1;
    let end = line + text[line..].find('\n')? + 1;
    let mut first = line;
    while let Some(before) = text[..first - 1].rfind('\n')
        && text[before + 1..first].trim_start().starts_with("#[")
    {
        first = before + 1;
    }
    Some(format!("{}{}{}", &text[..end], rename(&text[first..end], name), &text[end..]))
}

fn rename(text: &str, name: &str) -> String {
    let (ident, capitalized) = (name.replace('-', "_"), |word: &str| word[..1].to_uppercase() + &word[1..]);
    text.replace("ksm_storage_memory as memory", &format!("ksm_storage_{ident} as {ident}"))
        .replace("ksm_storage_memory", &format!("ksm_storage_{ident}"))
        .replace("memory::", &format!("{ident}::"))
        .replace("Memory", &name.split('-').map(capitalized).collect::<String>())
        .replace("memory` (default)", "memory`")
        .replace("memory", name)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn every_line_is_found() {
        registered("gcp-secret").unwrap();
    }

    #[test]
    fn names_are_lower_case_words() {
        let valid = |names: &[&str]| names.iter().filter(|name| parse_name(name).is_ok()).count();
        assert_eq!(valid(&["file", "s3", "gcp-secret"]), 3);
        assert_eq!(valid(&["", "File", "3s", "a-", "a_b", "../a"]), 0);
    }
}
