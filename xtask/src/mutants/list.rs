//! Which mutants there are.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Target;
use crate::{
    run::{output, root},
    tools,
};

pub(super) struct Mutant {
    /// As cargo-mutants has it: `FILE:LINE:COLUMN: WHAT`.
    pub(super) name: String,
    /// Without line and column, so that it outlives a change elsewhere in the file: `FILE: WHAT`, and ` #2` if it is the
    /// second one in the file that is called so.
    pub(super) key: String,
    /// Of the file as it is now, without its unit tests.
    pub(super) hash: u64,
}

/// The command that makes mutants of this target.
pub(super) fn command(target: &Target) -> Result<Command> {
    let package = format!("ksm-storage-{}", target.name);
    let mut command = tools::MUTANTS.command(&format!("--package {package} --all-features"))?;
    for file in target.files {
        command.args(["--file", &format!("crates/{package}/src/{file}")]);
    }
    for file in target.without {
        command.args(["--exclude", &format!("crates/{package}/src/{file}")]);
    }
    Ok(command)
}

/// All mutants of the target, or those that the diff in a file has to do with.
pub(super) fn mutants(target: &Target, diff: Option<&Path>) -> Result<Vec<Mutant>> {
    let all = parse(&output(command(target)?.args(["--list", "--json", "--no-config"]))?)?;
    let Some(diff) = diff else { return Ok(all) };
    let text = output(command(target)?.args(["--list", "--json", "--no-config", "--in-diff"]).arg(diff))?;
    // Nothing is printed if there is none.
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    // Only the whole list tells which of two with one name is the second.
    let touched = parse(&text)?;
    Ok(all.into_iter().filter(|mutant| touched.iter().any(|other| other.name == mutant.name)).collect())
}

fn parse(text: &str) -> Result<Vec<Mutant>> {
    let list: Vec<Value> = serde_json::from_str(text).context("the list of mutants cannot be read")?;
    let mut hashes = BTreeMap::new();
    let mut seen = BTreeMap::new();
    let mut mutants = Vec::new();
    for entry in &list {
        let file = entry["file"].as_str().context("a mutant is of no file")?;
        let name = entry["name"].as_str().context("a mutant has no name")?;
        let hash = match hashes.get(file) {
            Some(hash) => *hash,
            None => *hashes.entry(file).or_insert(hash_of(file)?),
        };
        let plain =
            without_place(file, name).with_context(|| format!("the name of a mutant is new: {name}"))?;
        let number = seen.entry(plain.clone()).and_modify(|number| *number += 1).or_insert(1);
        let key = if *number == 1 { plain } else { format!("{plain} #{number}") };
        mutants.push(Mutant { name: name.to_owned(), key, hash });
    }
    Ok(mutants)
}

fn without_place(file: &str, name: &str) -> Option<String> {
    let mut rest = name.strip_prefix(file)?.strip_prefix(':')?.splitn(3, ':');
    let (_line, _column) = (rest.next()?, rest.next()?);
    Some(format!("{file}: {}", rest.next()?.trim_start()))
}

fn hash_of(file: &str) -> Result<u64> {
    let content = fs::read_to_string(root().join(file)).with_context(|| format!("{file} cannot be read"))?;
    let mut hasher = DefaultHasher::new();
    without_tests(&content).hash(&mut hasher);
    Ok(hasher.finish())
}

/// Unit tests stand last in a file. They may become better, which changes no mutant.
fn without_tests(content: &str) -> &str {
    match content.rsplit_once("\n#[cfg(test)]\n") {
        Some((code, tests)) if tests.lines().next().is_some_and(|line| line.ends_with("mod tests {")) => code,
        _ => content,
    }
    .trim_end()
}

/// The same ones for the same list, count and seed, in their old order.
pub(super) fn sample(mutants: &[Mutant], count: usize, seed: u64) -> Vec<&Mutant> {
    let mut places: Vec<_> = (0..mutants.len()).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut places);
    places.truncate(count);
    places.sort_unstable();
    places.into_iter().map(|place| &mutants[place]).collect()
}

/// Part `k` of `n` equal parts. Neighbours stay together, since they are compiled faster one after the other.
pub(super) fn shard<'a>(mutants: &[&'a Mutant], (k, n): (usize, usize)) -> Vec<&'a Mutant> {
    mutants[mutants.len() * k / n..mutants.len() * (k + 1) / n].to_vec()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn mutant(name: &str, hash: u64) -> Mutant {
        let (file, _) = name.split_once(':').unwrap();
        Mutant { name: name.to_owned(), key: without_place(file, name).unwrap(), hash }
    }

    #[test]
    fn a_name_outlives_a_change_of_lines_and_the_second_one_is_told_from_the_first() {
        let file = "xtask/src/main.rs";
        let entry = |what: &str| format!(r#"{{"file": "{file}", "name": "{file}:{what}"}}"#);
        let text = [entry("3:7: replace a::b with ()"), entry("9:1: replace a::b with ()")].join(",");
        let mutants = parse(&format!("[{text}]")).unwrap();
        assert_eq!(mutants[0].key, "xtask/src/main.rs: replace a::b with ()");
        assert_eq!(mutants[1].key, "xtask/src/main.rs: replace a::b with () #2");
        assert_eq!(mutants[1].name, "xtask/src/main.rs:9:1: replace a::b with ()");
        assert!(parse("[{}]").is_err() && parse("").is_err());
    }

    #[test]
    fn a_better_unit_test_makes_no_other_file_of_it() {
        let code = "fn a() {}\n#[cfg(test)]\nmod fault;\nfn b() {}\n";
        assert_eq!(without_tests(code), code.trim_end());
        for head in ["mod tests {", "pub(super) mod tests {"] {
            assert_eq!(without_tests(&format!("{code}\n#[cfg(test)]\n{head}\n}}\n")), code.trim_end());
        }
    }

    #[test]
    fn shards_are_the_whole_and_share_nothing() {
        let mutants: Vec<_> = (0..11).map(|line| mutant(&format!("f.rs:{line}:1: x"), 0)).collect();
        let all: Vec<_> = mutants.iter().collect();
        let parts: Vec<_> = (0..3).flat_map(|k| shard(&all, (k, 3))).map(|mutant| &mutant.name).collect();
        assert_eq!(parts, all.iter().map(|mutant| &mutant.name).collect::<Vec<_>>());
        assert!((0..3).all(|k| (3..=4).contains(&shard(&all, (k, 3)).len())));
    }

    #[test]
    fn a_sample_is_the_same_every_time_and_another_one_with_another_seed() {
        let mutants: Vec<_> = (0..50).map(|line| mutant(&format!("f.rs:{line}:1: x"), 0)).collect();
        let names = |seed| sample(&mutants, 9, seed).iter().map(|mutant| &mutant.name).collect::<Vec<_>>();
        assert_eq!((names(1).len(), names(1)), (9, names(1)));
        assert_ne!(names(1), names(2));
        assert_eq!(sample(&mutants, 99, 1).len(), 50);
    }
}
