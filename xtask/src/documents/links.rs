//! Links between documents, without the network: that files and headings exist, for whoever has what git has.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use anyhow::{Result, ensure};

use super::{INCLUDED, read};
use crate::source::tracked;

/// Where the links of the pages lead within the crate's documentation.
const WITHIN_THE_CRATE: &str = "crates/ksm-storage/src/links.md";

pub(super) fn check(problems: &mut Vec<String>) -> Result<()> {
    let files: BTreeSet<_> = tracked(&[])?.into_iter().collect();
    let texts = tracked(&["*.md"])?
        .iter()
        .map(|file| Ok((file.clone(), prose(&read(file)?))))
        .collect::<Result<BTreeMap<_, _>>>()?;
    let included = read(INCLUDED)?;
    let within = definitions(&prose(&read(WITHIN_THE_CRATE)?));
    let mut checked = 0;
    for (file, text) in texts.iter().filter(|(file, _)| *file != WITHIN_THE_CRATE) {
        let is_page = included.contains(&format!("include_str!(\"../{file}\")"));
        let defined = definitions(text);
        let inline = inline(text);
        for target in inline.iter().chain(defined.values()).filter(|target| !is_elsewhere(target)) {
            checked += 1;
            if let Err(why) = lands(file, target, &files, &texts) {
                problems.push(format!("{file}: the link to {target} leads nowhere: {why}"));
            }
        }
        for label in used(text).filter(|label| !defined.contains_key(label)) {
            problems.push(format!("{file}: nothing says where [{label}] leads"));
        }
        if is_page {
            // In the crate's documentation a path leads nowhere; a label does, if it is defined there too.
            for target in inline.iter().filter(|target| !is_elsewhere(target) && !target.starts_with('#')) {
                problems
                    .push(format!("{file}: write the link to {target} with a label of {WITHIN_THE_CRATE}"));
            }
            for (label, _) in defined.iter().filter(|(_, target)| !is_elsewhere(target)) {
                if !within.contains_key(label) {
                    problems.push(format!("{file}: {WITHIN_THE_CRATE} does not define [{label}]"));
                }
            }
        }
    }
    ensure!(checked > 0, "no link was found");
    Ok(())
}

fn is_elsewhere(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// Whether a link in `file` finds its file and heading.
fn lands(
    file: &str,
    target: &str,
    files: &BTreeSet<String>,
    texts: &BTreeMap<String, String>,
) -> Result<(), String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let path = if path.is_empty() { PathBuf::from(file) } else { resolved(file, path) };
    if !files.contains(&*path.to_string_lossy()) {
        return Err(format!("there is no {}", path.display()));
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let text = texts.get(&*path.to_string_lossy()).ok_or("only Markdown has headings")?;
    if anchors(text).contains(anchor) { Ok(()) } else { Err("there is no such heading".to_owned()) }
}

/// `path`, seen from the folder of `file`, as seen from the root.
fn resolved(file: &str, path: &str) -> PathBuf {
    let mut from_root = Path::new(file).parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(from_root.pop()),
            part => from_root.push(part),
        }
    }
    from_root
}

/// The text without its code.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            prose.push_str(line);
        }
        prose.push('\n');
    }
    prose
}

/// Targets of `[text](target)`.
fn inline(text: &str) -> Vec<String> {
    let links = text.split("](").skip(1);
    links.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// Labels and targets of `[label]: target`.
fn definitions(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
    lines.map(|(label, target)| (label.to_owned(), target.trim().to_owned())).collect()
}

/// Labels of `[text][label]`.
fn used(text: &str) -> impl Iterator<Item = String> {
    text.split("][").skip(1).filter_map(|rest| rest.split_once(']')).map(|(label, _)| label.to_owned())
}

/// What the headings are called in links.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with('#')) {
        let title = line.trim_start_matches('#').trim();
        let anchor: String = title
            .chars()
            .filter(|char| char.is_alphanumeric() || " -_".contains(*char))
            .flat_map(char::to_lowercase)
            .map(|char| if char == ' ' { '-' } else { char })
            .collect();
        let taken = (0..).map(|count| if count == 0 { anchor.clone() } else { format!("{anchor}-{count}") });
        for anchor in taken {
            if anchors.insert(anchor) {
                break;
            }
        }
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_every_sort_are_found_outside_code() {
        let text = prose("a [b](c.md#d) [e][f]\n```\n[no](no.md)\n```\n[f]: ../g.md\n");
        assert_eq!(inline(&text), ["c.md#d"]);
        assert_eq!(used(&text).collect::<Vec<_>>(), ["f"]);
        assert_eq!(definitions(&text), [("f".to_owned(), "../g.md".to_owned())].into());
    }

    #[test]
    fn headings_are_named_as_the_hosts_name_them() {
        let expected = ["the-contract", "accessdenied", "a-b-1", "a-b"].map(str::to_owned);
        assert_eq!(anchors("# The contract\n## `AccessDenied`\n### A, b\n# A b\ntext\n"), expected.into());
    }

    #[test]
    fn a_link_needs_its_file_and_its_heading() {
        let page = "docs/conformance.md";
        let files = [page, "README.md"].map(str::to_owned).into();
        let texts = [(page.to_owned(), "# One\n".to_owned())].into();
        let lands = |target| lands(page, target, &files, &texts);
        assert_eq!(resolved(page, "../README.md"), Path::new("README.md"));
        assert!(lands("#one").is_ok() && lands("#two").is_err());
        assert!(lands("../README.md").is_ok());
        // It is on the disk, but not among what git has.
        assert!(lands("../Cargo.toml").is_err());
    }
}
