//! `cargo xtask new-backend`: a crate with the anatomy of a backend, registered in the workspace.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};

use crate::run::{root, run, say};

macro_rules! template {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../templates/backend/", $path))),)*]
    };
}

/// The files of the crate. `template` and `Template` stand for its name, and for nothing else.
const FILES: [(&str, &str); 8] = template![
    "Cargo.toml",
    "README.md",
    "src/lib.rs",
    "src/backend.rs",
    "src/builder.rs",
    "src/error.rs",
    "tests/conformance.rs",
    "tests/fixture/mod.rs",
];

pub(crate) fn new_backend(name: &Name) -> Result<()> {
    create(root(), name)?;
    let krate = name.package();
    say(&format!(
        "created crates/{krate}, and registered it in Cargo.toml\n\n\
         next:\n\
         1. tests/fixture/mod.rs: how the suite makes a store, and looks at it past the backend\n\
         2. src/backend.rs: load, then store; src/error.rs: what failures become\n\
         3. cargo test --package {krate}, until every case passes\n\
         4. feature `{name}` of the facade, conformance runner, CI, README, CHANGELOG: see CONTRIBUTING.md"
    ));
    Ok(())
}

/// Makes the crate in the workspace at `root`. Nothing is written if the workspace is not as expected.
pub(crate) fn create(root: &Path, name: &Name) -> Result<()> {
    let folder = root.join("crates").join(name.package());
    ensure!(!folder.exists(), "{} exists already", folder.display());
    let manifest = root.join("Cargo.toml");
    let text =
        fs::read_to_string(&manifest).with_context(|| format!("{} cannot be read", manifest.display()))?;
    let registered = register(&text, name)?;
    for (path, template) in FILES {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        fs::write(&path, name.fill(template))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        link(root, licence, &folder.join(licence))?;
    }
    fs::write(&manifest, registered)?;
    // Where lines break, and in which order imports stand, depends on the name.
    run(Command::new("cargo").current_dir(root).args(["fmt", "--package", &name.package()]))
}

/// A package holds what is in its own folder alone: what the workspace has once, it finds there by a link.
#[cfg(unix)]
fn link(_root: &Path, file: &str, link: &Path) -> Result<()> {
    let target = Path::new("../..").join(file);
    std::os::unix::fs::symlink(target, link).with_context(|| format!("{} cannot be made", link.display()))
}

#[cfg(not(unix))]
fn link(root: &Path, file: &str, copy: &Path) -> Result<()> {
    fs::copy(root.join(file), copy).with_context(|| format!("{} cannot be made", copy.display()))?;
    Ok(())
}

/// The workspace's manifest, with the crate among its default members and dependencies.
fn register(manifest: &str, name: &Name) -> Result<String> {
    let package = name.package();
    let after = |text: &str, marker: &str| {
        text.find(marker).map(|at| at + marker.len()).with_context(|| format!("Cargo.toml has no `{marker}`"))
    };
    let list = after(manifest, "default-members = [")?;
    let (before, rest) = manifest.split_at(list + after(&manifest[list..], "]")? - 1);
    let before = before.trim_end().trim_end_matches(',');
    let mut text = format!("{before}, \"crates/{package}\"{rest}");
    let common = after(manifest, "\n[workspace.package]\n")?;
    let mut common = manifest[common..].lines().take_while(|line| !line.starts_with('['));
    let version = common
        .find_map(|line| line.strip_prefix("version = "))
        .context("Cargo.toml states no version for all packages")?;
    let dependencies = after(&text, "\n[workspace.dependencies]\n")?;
    text.insert_str(
        dependencies,
        &format!("{package} = {{ path = \"crates/{package}\", version = {version} }}\n"),
    );
    Ok(text)
}

/// What follows `ksm-storage-` in the crate's name: lower-case words with hyphens between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl std::str::FromStr for Name {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        if name.starts_with("ksm-storage") {
            bail!("the name stands without `ksm-storage-`, which is put in front of it");
        }
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        ensure!(
            name.starts_with(|first: char| first.is_ascii_lowercase()) && name.split('-').all(is_word),
            "{name:?} is no name for a backend: lower-case letters and digits, words separated by hyphens, \
             such as `file` or `gcp-secret`"
        );
        Ok(Self(name.to_owned()))
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Name {
    pub(crate) fn package(&self) -> String {
        format!("ksm-storage-{self}")
    }

    fn type_prefix(&self) -> String {
        let capitalized = |word: &str| {
            let (first, rest) = word.split_at(1);
            first.to_uppercase() + rest
        };
        self.0.split('-').map(capitalized).collect()
    }

    fn fill(&self, template: &str) -> String {
        template
            .replace("ksm_storage_template", &self.package().replace('-', "_"))
            .replace("Template", &self.type_prefix())
            .replace("template", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_words() {
        for name in ["file", "s3", "gcp-secret", "vault-kv2"] {
            assert_eq!(name.parse::<Name>().unwrap().to_string(), name);
        }
        for name in ["", "File", "3s", "-a", "a-", "a--b", "a_b", "a/b", "../a", "a b", "é", "ksm-storage-a"]
        {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_template_is_filled_with_crate_type_and_name() {
        let name: Name = "gcp-secret".parse().unwrap();
        let text = "use ksm_storage_template::TemplateBackend; // ksm-storage-template, \"template\"";
        let filled =
            "use ksm_storage_gcp_secret::GcpSecretBackend; // ksm-storage-gcp-secret, \"gcp-secret\"";
        assert_eq!(name.fill(text), filled);
    }

    #[test]
    fn a_crate_is_registered_in_lists_on_one_line_and_on_many() {
        let name: Name = "new".parse().unwrap();
        for (list, registered) in [
            ("[\".\", \"a\"]", "[\".\", \"a\", \"crates/ksm-storage-new\"]"),
            ("[\n    \"a\",\n]", "[\n    \"a\", \"crates/ksm-storage-new\"]"),
        ] {
            let common = "[workspace.package]\nedition = \"2024\"\nversion = \"0.3.1\"\n";
            let text = |list| format!("default-members = {list}\n{common}[workspace.dependencies]\n");
            let expected = text(registered)
                + "ksm-storage-new = { path = \"crates/ksm-storage-new\", version = \"0.3.1\" }\n";
            assert_eq!(register(&text(list), &name).unwrap(), expected);
        }
        let error = register("[workspace]\n", &name).unwrap_err().to_string();
        assert!(error.contains("default-members"), "{error}");
    }
}
