//! What `cargo metadata` knows of the workspace.

use std::{collections::BTreeSet, process::Command};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run::{cargo, output};

pub(crate) struct Metadata(Value);

pub(crate) struct Package<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) published: bool,
    /// As `major.minor.patch`, where the package states one.
    pub(crate) rust_version: Option<[u64; 3]>,
    all: &'a Value,
}

impl Package<'_> {
    /// Whether the manifest sets the field, and not to nothing.
    pub(crate) fn has(&self, field: &str) -> bool {
        match &self.all[field] {
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => false,
        }
    }

    pub(crate) fn has_lib(&self) -> bool {
        list(&self.all["targets"]).any(|target| list(&target["kind"]).any(|kind| kind == "lib"))
    }
}

pub(crate) struct Example {
    pub(crate) package: String,
    pub(crate) name: String,
    /// The features that it needs.
    pub(crate) features: Vec<String>,
}

impl Metadata {
    /// What the lock file says; one that is out of date is an error.
    pub(crate) fn load() -> Result<Self> {
        let host = output(Command::new("rustc").arg("-vV"))?;
        let host =
            host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
        let command = format!("metadata --format-version 1 --locked --all-features --filter-platform {host}");
        Ok(Self(serde_json::from_str(&output(&mut cargo(&command))?)?))
    }

    pub(crate) fn packages(&self) -> impl Iterator<Item = Package<'_>> {
        list(&self.0["packages"]).map(|package| Package {
            id: text(&package["id"]),
            name: text(&package["name"]),
            version: text(&package["version"]),
            // Null means any registry, a list these ones, and an empty list none.
            published: package["publish"] != Value::Array(Vec::new()),
            rust_version: package["rust_version"].as_str().map(parse_version),
            all: package,
        })
    }

    /// The packages of this workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = Package<'_>> {
        let members: BTreeSet<_> = list(&self.0["workspace_members"]).map(text).collect();
        self.packages().filter(move |package| members.contains(package.id))
    }

    /// The examples of this workspace.
    pub(crate) fn examples(&self) -> Vec<Example> {
        let mut examples = Vec::new();
        for package in self.members() {
            let targets = list(&package.all["targets"]);
            for target in targets.filter(|target| list(&target["kind"]).any(|kind| kind == "example")) {
                examples.push(Example {
                    package: package.name.to_owned(),
                    name: text(&target["name"]).to_owned(),
                    features: list(&target["required-features"]).map(|name| text(name).to_owned()).collect(),
                });
            }
        }
        examples
    }
}

/// Names and versions of what `cargo tree` shows for the package (and further arguments), itself included.
pub(crate) fn tree(package: &str) -> Result<BTreeSet<(String, String)>> {
    let tree =
        output(&mut cargo(&format!("tree --locked --prefix none --format {{p}} --package {package}")))?;
    let mut crates = BTreeSet::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (Some(name), Some(version)) =
            (words.next(), words.next().and_then(|word| word.strip_prefix('v')))
        else {
            bail!("`cargo tree` printed a line without name and version: {line}");
        };
        crates.insert((name.to_owned(), version.to_owned()));
    }
    Ok(crates)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn parse_version(version: &str) -> [u64; 3] {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}
