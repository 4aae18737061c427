//! The documentation agrees with the code.
#![allow(
    missing_docs,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test has no documentation and may panic"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(file: impl AsRef<Path>) -> String {
    let file = root().join(file);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The files with this extension below a folder, relative to the root.
fn files(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{folder}/{name}").trim_start_matches("./").to_owned();
        if entry.file_type().unwrap().is_dir()
            && !name.starts_with('.')
            && !matches!(&*name, "target" | "corpus")
        {
            found.extend(files(&path, extension));
        } else if entry.file_type().unwrap().is_file()
            && Path::new(&name).extension().is_some_and(|it| it == extension)
        {
            found.push(path);
        }
    }
    found
}

/// Text between backticks.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn pages_show_deployed_policies() {
    let policies: BTreeSet<_> = files("deploy/iam", "json").iter().map(read).collect();
    let page = read("docs/aws.md");
    let shown: Vec<_> =
        page.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!shown.is_empty());
    for policy in shown {
        assert!(policies.contains(policy), "no file in deploy/iam has the policy {policy}");
    }
}

#[test]
fn pages_are_part_of_the_documentation() {
    let facade = read("crates/ksm-storage/src/lib.rs");
    let site = read("docs/SUMMARY.md");
    // The pages that only frame the site have no text of their own.
    let is_page = |page: &&str| !["docs/SUMMARY.md", "docs/index.md"].contains(page);
    for page in files("docs", "md").iter().map(String::as_str).filter(is_page).chain(["README.md"]) {
        let listed = page == "README.md" || site.contains(&page.replace("docs/", "]("));
        assert!(listed, "docs/SUMMARY.md does not list {page}");
        assert!(
            facade.contains(&format!("include_str!(\"../{page}\")")),
            "{page} is not included, so its code is not tested"
        );
        let text = read(page);
        let blocks = text.split("\n```rust").skip(1).map(|rest| rest.split("\n```").next().unwrap());
        for line in blocks.flat_map(str::lines) {
            assert!(line != "#" && !line.starts_with("# "), "{page}: only rustdoc hides `{line}`");
        }
    }
}

/// In rustdoc, link labels resolve to modules, and rustdoc checks those; elsewhere they resolve to files, which this
/// test checks. No current tool checks both files and headings offline.
#[test]
fn links_resolve() {
    let facade = read("crates/ksm-storage/src/lib.rs");
    let modules = "\n".to_owned() + &read("crates/ksm-storage/src/links.md");
    for page in files(".", "md").iter().filter(|page| !page.ends_with("src/links.md")) {
        let text = prose(&read(page));
        let is_page = facade.contains(&format!("include_str!(\"../{page}\")"));
        for label in text.split("][").skip(1).filter_map(|rest| Some(rest.split_once(']')?.0)) {
            let definition = format!("\n[{label}]: ");
            assert!(text.contains(&definition), "{page}: [{label}] is not defined");
            assert!(!is_page || modules.contains(&definition), "{page}: [{label}] has no module");
        }
        let defined = text
            .lines()
            .filter_map(|line| line.strip_prefix('[')?.split_once("]: "))
            .map(|(_, target)| target);
        let inline = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        for target in defined.chain(inline).filter(|target| !target.contains("://")) {
            let (file, heading) = target.trim().split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() {
                Path::new(page).to_owned()
            } else {
                Path::new(page).with_file_name(file)
            };
            assert!(root().join(&file).exists(), "{page}: {target} does not exist");
            let known = heading.is_empty() || prose(&read(&file)).lines().any(|line| anchor(line) == heading);
            assert!(known, "{page}: {target} is not a heading");
        }
    }
}

/// The text without its code blocks.
fn prose(text: &str) -> String {
    text.split("\n```").step_by(2).collect()
}

/// The anchor of a heading.
fn anchor(line: &str) -> String {
    let title = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    title.chars().filter(|char| char.is_alphanumeric() || "-_".contains(*char)).collect()
}

/// The crates compare the other columns with their constants.
#[cfg(all(feature = "aws", feature = "keeper"))]
#[test]
fn reference_lists_setters() {
    use std::any::type_name_of_val;

    use ksm_storage::{
        ConfigStorageBuilder, aws::AwsStorageBuilder, blocking::Driver, keeper::KeeperClientBuilder,
    };
    let setters = [
        type_name_of_val(&ConfigStorageBuilder::deadline),
        type_name_of_val(&ConfigStorageBuilder::write_attempts),
        type_name_of_val(&AwsStorageBuilder::attempt_timeout),
        type_name_of_val(&AwsStorageBuilder::deadline),
        type_name_of_val(&AwsStorageBuilder::max_attempts),
        type_name_of_val(&AwsStorageBuilder::write_attempts),
        type_name_of_val(&Driver::runtime),
        type_name_of_val(&KeeperClientBuilder::request_timeout),
    ];
    let page = read("docs/reference.md");
    let (_, table) = page.split_once("<!-- begin defaults -->").unwrap();
    let (table, _) = table.split_once("<!-- end defaults -->").unwrap();
    let shown: BTreeSet<_> =
        codes(table).filter(|code| code.contains("::") && !code.starts_with("blocking")).collect();
    for name in &shown {
        assert!(setters.iter().any(|setter| setter.ends_with(name)), "docs/reference.md: there is no {name}");
    }
    assert_eq!(shown.len(), setters.len(), "docs/reference.md lacks a setter");
}

#[test]
fn examples_are_documented_and_tested() {
    let page = read("docs/testing.md");
    let tests: String = files("crates/ksm-storage/tests", "rs").iter().map(read).collect();
    for entry in fs::read_dir(root().join("crates/ksm-storage/examples")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        let in_table = page.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
        assert!(in_table, "docs/testing.md has no row for the example {name}");
        // Tests of the example itself.
        let tested = name == "own_backend" || tests.contains(&format!("\"{name}\""));
        assert!(tested, "no test runs the example {name}");
    }
}

/// Only an identifier of several words counts as the name of a test or function.
#[test]
fn named_tests_and_files_exist() {
    const OF_OTHERS: [&str; 2] = ["aws_secretsmanager_secret_version", "set_custom_sleep_function"];
    let names = [files(".", "rs"), files(".", "py")].concat();
    let sources: String = names.iter().map(read).collect();
    for page in files(".", "md") {
        let text = read(&page);
        for word in text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_') {
            let is_name =
                word.matches('_').count() >= 3 && !word.starts_with('_') && word.to_lowercase() == word;
            assert!(
                !is_name || sources.contains(word) || OF_OTHERS.contains(&word),
                "{page}: there is no {word}"
            );
        }
        for path in codes(&text).filter(|code| {
            code.contains('/') && !code.contains(' ') && Path::new(code).extension() == Some("rs".as_ref())
        }) {
            assert!(names.iter().any(|name| Path::new(name).ends_with(path)), "{page}: there is no {path}");
        }
    }
}

#[test]
fn all_tests_and_code_blocks_run() {
    const CHILD: &str = "#[ignore = \"run as a child process by the other tests\"]";
    for file in [files("crates", "rs"), files(".", "md")].concat() {
        for line in read(&file).lines().map(str::trim) {
            assert!(!line.starts_with("#[ignore") || line == CHILD, "{file}: a test is skipped");
            let fence = line.trim_start_matches(['/', '!', ' ']).strip_prefix("```");
            assert!(fence.is_none_or(|info| !info.contains("ignore")), "{file}: a code block is not tested");
        }
    }
}

/// `Debug` of the AWS SDK's errors contains raw replies.
#[test]
fn sdk_errors_are_never_debug_formatted() {
    for file in ["guarded.rs", "http/guard.rs", "instance.rs", "interceptors.rs", "sdk.rs"] {
        let source = read(format!("crates/ksm-storage-aws/src/{file}"));
        assert!(!source.contains("?}") && !source.contains("dbg!("), "{file} formats with Debug");
    }
}
