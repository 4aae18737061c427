//! What the documents say, compared with what they speak of.

mod events;
mod links;
mod words;

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    run::{root, say},
    source::tracked,
};

const OPERATIONS: &str = "docs/operations.md";
const REFERENCE: &str = "docs/reference.md";
const CORE_ERRORS: &str = "crates/ksm-storage-core/src/error.rs";
const KEEPER_ERRORS: &str = "crates/ksm-storage-keeper/src/error.rs";
/// Where the pages become part of the crate's documentation, in which their code is compiled.
const INCLUDED: &str = "crates/ksm-storage/src/lib.rs";
/// Names in the documents that are those of other software.
const OF_OTHERS: [&str; 2] = ["fallback_to_default_profile", "set_custom_sleep_function"];

pub(crate) fn check() -> Result<()> {
    let mut problems = Vec::new();
    links::check(&mut problems)?;
    events::check(&mut problems)?;
    pages(&mut problems)?;
    policies(&mut problems)?;
    defaults(&mut problems)?;
    kinds("kinds", CORE_ERRORS, &mut problems)?;
    kinds("keeper kinds", KEEPER_ERRORS, &mut problems)?;
    words::check(&mut problems)?;
    docs_rs(&mut problems)?;
    names(&mut problems)?;
    paths(&mut problems)?;
    examples(&mut problems)?;
    for problem in &problems {
        say(problem);
    }
    ensure!(problems.is_empty(), "{} statements of the documents do not hold", problems.len());
    Ok(())
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(root().join(file)).with_context(|| format!("{file} cannot be read"))
}

/// Every page is part of the facade's documentation: only there is its code compiled. No other place hides a line.
fn pages(problems: &mut Vec<String>) -> Result<()> {
    let included = read(INCLUDED)?;
    let pages = tracked(&["docs/*.md", "README.md"])?;
    ensure!(pages.len() > 1, "no page was found");
    for page in pages.iter().filter(|page| !included.contains(&format!("include_str!(\"../{page}\")"))) {
        problems.push(format!("{page}: {INCLUDED} does not include it, so that its code is not compiled"));
    }
    for page in &pages {
        for line in hidden(&read(page)?) {
            problems.push(format!("{page}: only rustdoc hides the line `{line}`"));
        }
    }
    Ok(())
}

/// The lines of code in Rust that rustdoc does not show.
fn hidden(page: &str) -> Vec<&str> {
    let blocks = page.split("\n```rust").skip(1).map(|rest| rest.split("\n```").next().unwrap_or_default());
    blocks.flat_map(str::lines).filter(|line| *line == "#" || line.starts_with("# ")).collect()
}

/// The policies that the README shows are those in `deploy/iam`.
fn policies(problems: &mut Vec<String>) -> Result<()> {
    let files = tracked(&["deploy/iam/*.json"])?;
    let files = files.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?;
    let readme = read("README.md")?;
    let shown: Vec<_> = readme
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```").map(|(code, _)| code))
        .collect();
    ensure!(!shown.is_empty(), "the README shows no policy");
    for policy in shown.iter().filter(|policy| !files.iter().any(|file| file == *policy)) {
        let sid = policy.lines().find(|line| line.contains("Sid")).unwrap_or_default().trim();
        problems.push(format!("README.md: the policy with {sid} is none of the files in deploy/iam"));
    }
    Ok(())
}

/// What the table of defaults quotes stands in the file that it names, and its setters are in the public API.
fn defaults(problems: &mut Vec<String>) -> Result<()> {
    let api = tracked(&["docs/api/*.txt"])?.iter().map(|file| read(file)).collect::<Result<String>>()?;
    for row in rows(part(&read(REFERENCE)?, "defaults")?)? {
        let [_, _, setters, set] = &row[..] else { bail!("{REFERENCE}: a default without its four cells") };
        for setter in codes(setters).filter(|setter| !api.contains(&format!("::{setter}("))) {
            problems.push(format!("{REFERENCE}: the public API has no {setter}"));
        }
        let [file, code] = codes(set).collect::<Vec<_>>()[..] else {
            problems.push(format!("{REFERENCE}: no file and code in `{set}`"));
            continue;
        };
        if !read(file)?.contains(code) {
            problems.push(format!("{REFERENCE}: {file} does not hold {code}"));
        }
    }
    Ok(())
}

/// Every kind of error has its entry, and every entry is one.
fn kinds(name: &str, source: &str, problems: &mut Vec<String>) -> Result<()> {
    let source_text = read(source)?;
    let kinds = variants(&source_text).with_context(|| format!("{source} has no ErrorKind"))?;
    let operations = read(OPERATIONS)?;
    let entries: BTreeSet<_> = part(&operations, name)?
        .lines()
        .filter_map(|line| line.strip_prefix("### `").or_else(|| line.strip_prefix("| `")))
        .filter_map(|line| line.split('`').next())
        .collect();
    ensure!(!kinds.is_empty(), "{source} has no kind of error");
    for kind in kinds.symmetric_difference(&entries) {
        problems.push(format!("{OPERATIONS}: the {name} and {source} do not agree on {kind}"));
    }
    Ok(())
}

/// The variants of `ErrorKind`.
fn variants(source: &str) -> Option<BTreeSet<&str>> {
    let (_, rest) = source.split_once("pub enum ErrorKind {")?;
    let (body, _) = rest.split_once("\n}")?;
    Some(body.lines().filter_map(|line| line.trim().strip_suffix(',')).filter(|line| is_word(line)).collect())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Every published crate is documented with all features, and with what each item needs.
fn docs_rs(problems: &mut Vec<String>) -> Result<()> {
    let manifests = tracked(&["crates/*/Cargo.toml"])?;
    ensure!(manifests.len() > 1, "no manifest was found");
    for manifest in &manifests {
        let folder = manifest.trim_end_matches("Cargo.toml");
        let lib = format!("{folder}src/lib.rs");
        for (file, line) in [
            (
                manifest,
                "[package.metadata.docs.rs]\nall-features = true\nrustdoc-args = [\"--cfg\", \"docsrs\"]\n",
            ),
            (&lib, "#![cfg_attr(docsrs, feature(doc_cfg))]\n"),
        ] {
            if !read(file)?.contains(line) {
                problems.push(format!("{file}: {} is missing", line.trim_end().replace('\n', " ")));
            }
        }
    }
    Ok(())
}

/// Functions and tests that the documents name are in the sources. Only a name of many words is taken for one.
fn names(problems: &mut Vec<String>) -> Result<()> {
    let sources = tracked(&["*.rs", "*.toml"])?.iter().map(|file| read(file)).collect::<Result<String>>()?;
    let mut found = 0;
    for file in tracked(&["*.md"])? {
        for name in long_names(&read(&file)?) {
            found += 1;
            if !sources.contains(&name) && !OF_OTHERS.contains(&&*name) {
                problems.push(format!("{file}: nothing is called {name}"));
            }
        }
    }
    ensure!(found > 0, "no name was found");
    Ok(())
}

/// Sources that the documents name are there. A page may leave out the folders in front.
fn paths(problems: &mut Vec<String>) -> Result<()> {
    let sources = tracked(&["*.rs"])?;
    let mut found = 0;
    for file in tracked(&["*.md"])? {
        for path in quoted_sources(&read(&file)?) {
            found += 1;
            if !sources.iter().any(|source| Path::new(source).ends_with(path)) {
                problems.push(format!("{file}: there is no {path}"));
            }
        }
    }
    ensure!(found > 0, "no source was found");
    Ok(())
}

fn quoted_sources(text: &str) -> impl Iterator<Item = &str> {
    let is_source = |quoted: &&str| Path::new(quoted).extension().is_some_and(|extension| extension == "rs");
    let quoted = text.lines().flat_map(codes).filter(is_source);
    quoted.filter(|quoted| quoted.contains('/') && !quoted.contains(' '))
}

/// What a line of prose has between backticks.
fn codes(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The README says for whom each example is.
fn examples(problems: &mut Vec<String>) -> Result<()> {
    let readme = read("README.md")?;
    let files = tracked(&["crates/ksm-storage/examples/*"])?;
    let names: BTreeSet<_> = files.iter().filter_map(|file| file.split(['/', '.']).nth(1)).collect();
    ensure!(!names.is_empty(), "no example was found");
    let tables: Vec<_> = readme.lines().filter(|line| line.starts_with('|')).collect();
    for name in names {
        if !tables.iter().any(|row| row.contains(&format!("`{name}`"))) {
            problems.push(format!("README.md: no table has the example {name}"));
        }
    }
    Ok(())
}

fn long_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let is_name = |word: &&str| {
        word.matches('_').count() >= 3 && !word.starts_with('_') && !word.chars().any(char::is_uppercase)
    };
    words.filter(is_name).map(str::to_owned).collect()
}

/// What stands between the marks of the part `name`.
fn part<'a>(text: &'a str, name: &str) -> Result<&'a str> {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let between = text.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end));
    between.map(|(part, _)| part).with_context(|| format!("there is no part {name}"))
}

/// The cells of a table's rows, without those of its head.
fn rows(table: &str) -> Result<Vec<Vec<&str>>> {
    let lines = table.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|')).skip(2);
    let rows: Vec<Vec<_>> = lines.map(|line| line.split('|').map(str::trim).collect()).collect();
    ensure!(!rows.is_empty(), "a table without rows");
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_and_its_rows_are_found() {
        let text = "x\n<!-- begin a -->\n\n| h | i |\n|---|--:|\n| 1 | `2` |\n<!-- end a -->\n| 3 | 4 |\n";
        assert_eq!(rows(part(text, "a").unwrap()).unwrap(), [["1", "`2`"]]);
        assert!(part(text, "b").is_err() && rows("| h |\n|---|\n").is_err());
    }

    #[test]
    fn names_of_many_words_are_taken_for_functions() {
        let text = "`aws.rs`: `a_test_of_it`, `bind::one_two_three_four`, A_B_C_D and a_b_c";
        assert_eq!(long_names(text), ["a_test_of_it", "one_two_three_four"].map(str::to_owned).into());
    }

    #[test]
    fn sources_are_told_from_other_code() {
        let text = "`a/b.rs`, `c.rs` and `d/e.md`\n```text\n`f/g.rs`: `cd h/i.rs`\n";
        assert_eq!(quoted_sources(text).collect::<Vec<_>>(), ["a/b.rs", "f/g.rs"]);
    }

    #[test]
    fn hidden_lines_are_those_of_code_in_rust() {
        let text = "# A\n\n```rust,no_run\n# use a;\n#[b]\n#\n```\n\n# C\n\n```text\n# d\n```\n";
        assert_eq!(hidden(text), ["# use a;", "#"]);
    }

    #[test]
    fn variants_are_told_from_their_documentation() {
        let source = "/// X.\npub enum ErrorKind {\n    /// One,\n    One,\n    Two,\n}\nenum Other {\n    Three,\n}\n";
        assert_eq!(variants(source).unwrap(), ["One", "Two"].into());
    }
}
