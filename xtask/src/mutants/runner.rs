//! Trying mutants with cargo-mutants.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::ErrorKind,
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    Target,
    list::{self, Mutant},
    outcomes::{self, Found, Outcome, Outcomes, read_if_there},
};
use crate::run::{cargo, root};

/// How much longer than without a mutant the tests may take, and in seconds the least that they may: the machine may
/// have more to do by then.
const TIMEOUT: [&str; 4] = ["--timeout-multiplier", "5", "--minimum-test-timeout", "90"];

const WHOLE: &str = "all";

/// Where a run leaves what it needs and finds. Runs at the same time need folders of their own.
pub(super) struct Folder {
    path: PathBuf,
    /// What cargo builds, for all targets: their dependencies are the same. It is kept, so that these are compiled once;
    /// of the tree a new copy is made every time, which is newer than anything here.
    build: PathBuf,
    /// A second run here would take what the first one has made of its mutants for its own.
    _lock: File,
}

impl Folder {
    pub(super) fn of_shard(target: &Target, shard: Option<(usize, usize)>) -> Result<Self> {
        let name = shard.map_or_else(|| WHOLE.to_owned(), |(k, n)| format!("{k}-of-{n}"));
        Self::new(target, &name, &name)
    }

    pub(super) fn of_change(target: &Target) -> Result<Self> {
        Self::new(target, "change", WHOLE)
    }

    fn new(target: &Target, name: &str, build: &str) -> Result<Self> {
        let path = outcomes::folder(target).join(name);
        Self::at(path, root().join("target/mutants/build").join(build))
    }

    fn at(path: PathBuf, build: PathBuf) -> Result<Self> {
        for path in [&path, &build] {
            fs::create_dir_all(path).with_context(|| format!("{} cannot be created", path.display()))?;
        }
        let lock = File::create(build.join("mutants.lock"))?;
        lock.try_lock().with_context(|| {
            format!("another run uses {}: wait for it, or give each a shard", build.display())
        })?;
        Ok(Self { path, build, _lock: lock })
    }

    /// Hands over what the last run found, whether or not it came to its end. It is handed over once: later runs elsewhere
    /// may have found something else.
    pub(super) fn hand_over(&self, outcomes: &mut Outcomes) -> Result<()> {
        outcomes.add(self.found()?)?;
        fs::write(self.chosen(), "").with_context(|| format!("{} cannot be written", self.path.display()))
    }

    /// What the last run found.
    pub(super) fn found(&self) -> Result<Vec<Found>> {
        let chosen = read_if_there(&self.chosen())?;
        let hashes: BTreeMap<_, _> = chosen
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(hash, name)| (name, hash))
            .collect();
        let mut found = Vec::new();
        for outcome in Outcome::ALL {
            let names =
                read_if_there(&self.path.join("mutants.out").join(format!("{}.txt", outcome.word())))?;
            // A name that was not asked for has been written half when the run was interrupted.
            let known = names.lines().filter_map(|name| Some((name, hashes.get(name)?.parse().ok()?)));
            found.extend(known.map(|(name, hash)| ((hash, name.to_owned()), outcome)));
        }
        Ok(found)
    }

    /// The mutants of the run, with the hashes of their files.
    fn chosen(&self) -> PathBuf {
        self.path.join("chosen.tsv")
    }

    fn prepare(&self, mutants: &[&Mutant]) -> Result<()> {
        match fs::remove_dir_all(self.path.join("mutants.out")) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let chosen = mutants.iter().map(|mutant| format!("{}\t{}\n", mutant.hash, mutant.name));
        fs::write(self.chosen(), chosen.collect::<String>())?;
        let names: Vec<_> = mutants.iter().map(|mutant| format!("^{}$", escape(&mutant.name))).collect();
        // A list of strings is the same in TOML as in JSON.
        fs::write(
            self.path.join("mutants.toml"),
            format!("examine_re = {}\n", serde_json::to_string(&names)?),
        )?;
        Ok(())
    }
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Complete,
    OutOfTime,
}

/// Compiles what [`run`] does, without a mutant. The crates that are not of this workspace are not compiled again.
pub(super) fn compile(target: &Target, folder: &Folder) -> Result<()> {
    let words = format!(
        "test --no-run --locked --profile mutants --package ksm-storage-{} --all-features {}",
        target.name, target.tests
    );
    crate::run::run(cargo(&words).env("CARGO_TARGET_DIR", &folder.build))
}

/// Tries these mutants, until `deadline` at the latest. What was found is then in the folder, to be handed over.
pub(super) fn run(
    target: &Target,
    mutants: &[&Mutant],
    folder: &Folder,
    deadline: Option<Instant>,
) -> Result<Ended> {
    folder.prepare(mutants)?;
    let mut command = list::command(target)?;
    command
        .args("--profile mutants --test-tool cargo --baseline run --caught --unviable".split(' '))
        .args(TIMEOUT);
    command.arg("--config").arg(folder.path.join("mutants.toml")).arg("--output").arg(&folder.path);
    command.arg("--cargo-arg=--locked");
    command.args(target.tests.split_whitespace().map(|word| format!("--cargo-arg={word}")));
    // After the first mark what is meant for `cargo test`, after the second one what is meant for the test programs.
    command.args(["--", "--"]).args(target.skip.iter().flat_map(|name| ["--skip", name]));
    // A mutant that random input meets is met by little of it.
    command.env("PROPTEST_CASES", "16").env("CARGO_TARGET_DIR", &folder.build);
    let mut child = command.spawn().context("cargo cannot be started")?;
    let Some(status) = wait(&mut child, deadline)? else { return Ok(Ended::OutOfTime) };
    match status.code() {
        // All were caught; some were missed; some timed out.
        Some(0 | 2 | 3) => Ok(Ended::Complete),
        Some(4) => bail!("the tests fail, or cannot be built, without any mutant"),
        _ => bail!("cargo-mutants ended with {status}"),
    }
}

/// The child's status, or `None` if it was interrupted at the deadline.
fn wait(child: &mut Child, deadline: Option<Instant>) -> Result<Option<ExitStatus>> {
    let Some(deadline) = deadline else { return Ok(Some(child.wait()?)) };
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(100));
    }
    // Politely, where that can be done: it then ends the tests that it runs, and takes its copy of the tree away.
    let polite = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    if !polite.is_ok_and(|status| status.success()) {
        child.kill()?;
    }
    child.wait()?;
    Ok(None)
}

/// A regular expression that matches just this text.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(char) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{super::list::tests::mutant, *};

    #[test]
    fn what_an_interrupted_run_has_found_is_handed_over_once() {
        let path = std::env::temp_dir().join(format!("mutants-{}", std::process::id()));
        let folder = Folder::at(path.clone(), path.join("build")).unwrap();
        let busy = Folder::at(path.clone(), path.join("build")).err().unwrap().to_string();
        assert!(busy.starts_with("another run uses "), "{busy}");
        let [a, b] = ["f.rs:1:1: replace a", "f.rs:2:1: replace b"].map(|name| mutant(name, 7));
        folder.prepare(&[&a, &b]).unwrap();
        assert_eq!(folder.found().unwrap(), []);
        fs::create_dir(path.join("mutants.out")).unwrap();
        fs::write(path.join("mutants.out/caught.txt"), format!("{}\n", a.name)).unwrap();
        fs::write(path.join("mutants.out/missed.txt"), "f.rs:2:1: repl").unwrap();
        let mut outcomes = Outcomes::at(path.join("outcomes.tsv")).unwrap();
        folder.hand_over(&mut outcomes).unwrap();
        assert_eq!((outcomes.of(&a), outcomes.of(&b)), (Some(Outcome::Caught), None));
        assert_eq!(folder.found().unwrap(), []);
        // Whoever comes next reads it there, and a run does not find what the last one did.
        assert_eq!(Outcomes::at(path.join("outcomes.tsv")).unwrap().of(&a), Some(Outcome::Caught));
        folder.prepare(&[&b]).unwrap();
        assert_eq!(folder.found().unwrap(), []);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn names_are_taken_literally() {
        assert_eq!(escape("f.rs:1:1: replace a -> Option<&'_ str> with Some(\"*\")"), {
            r#"f\.rs:1:1: replace a \-> Option<\&'_ str> with Some\("\*"\)"#
        });
    }

    #[cfg(unix)]
    #[test]
    fn a_child_is_waited_for_and_interrupted_at_the_deadline() {
        let second = Instant::now() + Duration::from_secs(60);
        let mut child = Command::new("true").spawn().unwrap();
        assert!(wait(&mut child, Some(second)).unwrap().unwrap().success());
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(wait(&mut child, Some(Instant::now())).unwrap().is_none());
        assert!(Instant::now() < second);
    }
}
