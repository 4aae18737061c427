//! The tasks that a person runs.

use std::{
    env::{self, consts::EXE_SUFFIX},
    ffi::OsString,
    fs,
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{
    metadata::{Example, Metadata},
    run::{cargo, run, run_and_keep, say, target},
};

/// All tests, doc tests and examples. A kind of which there is none is a failure too.
pub(crate) fn test() -> Result<()> {
    let folders = Folders::find()?;
    let _ = fs::remove_dir_all(&folders.run_by_tests);
    // Some tests run examples as programs of their own.
    run(&mut cargo("build --workspace --all-features --examples"))?;
    let tests = run_and_keep(&mut cargo("test --workspace --all-features --lib --bins --tests --examples"))?;
    ensure!(passed(&tests) > 0, "no test was found");
    let doc_tests = run_and_keep(&mut cargo("test --workspace --all-features --doc"))?;
    ensure!(passed(&doc_tests) > 0, "no doc test was found");
    examples(&Metadata::load()?.examples(), &folders)
}

/// Where the programs of the examples are, and where tests leave the names of those that they have run.
struct Folders {
    programs: PathBuf,
    run_by_tests: PathBuf,
}

impl Folders {
    fn find() -> Result<Self> {
        let target = target()?;
        Ok(Self { programs: target.join("debug/examples"), run_by_tests: target.join("tmp/examples") })
    }
}

/// Every example is run: by the tests, or else here, where it needs neither arguments nor a service.
fn examples(examples: &[Example], folders: &Folders) -> Result<()> {
    ensure!(!examples.is_empty(), "no example was found");
    let (by_tests, others): (Vec<_>, Vec<_>) =
        examples.iter().partition(|example| folders.run_by_tests.join(&example.name).exists());
    say(&format!("{} examples were run by tests, {} are run now", by_tests.len(), others.len()));
    for Example { package, name, features } in others {
        let alone = package == "ksm-storage" && !features.iter().any(|feature| feature == "aws");
        ensure!(alone, "no test runs the example {name} of {package}, which needs a service");
        run(&mut Command::new(folders.programs.join(format!("{name}{EXE_SUFFIX}"))))?;
    }
    Ok(())
}

/// The conformance suite: `--backend NAME`, `--broken`, `--histories N`, `--require-all`; other arguments are filters.
pub(crate) fn conformance(args: &[OsString]) -> Result<()> {
    let mut args = args.iter().map(|arg| arg.to_string_lossy());
    let (mut features, mut variables, mut filters) = ("aws,file,memory,testing".to_owned(), vec![], vec![]);
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match &*arg {
            "--backend" => {
                let backend = value()?;
                if !backend.starts_with("aws") {
                    features = backend.to_string();
                }
                filters.push(format!("{backend}::"));
            }
            "--broken" => variables.push(("KSM_CONFORMANCE_BROKEN", "1".into())),
            "--histories" => variables.push(("KSM_CONFORMANCE_HISTORIES", value()?)),
            "--require-all" => variables.push(("KSM_CONFORMANCE_REQUIRE_ALL", "1".into())),
            filter => filters.push(filter.to_owned()),
        }
    }
    let test =
        format!("test --package ksm-storage --no-default-features --features {features} --test conformance");
    let mut tests = cargo(&test);
    run(tests.envs(variables.iter().map(|(name, value)| (name, &**value))).arg("--").args(filters))
}

/// Core's races under a scheduler explorer, with a budget and a seed that are fixed. `args` are names of tests.
pub(crate) fn schedules(args: &[OsString]) -> Result<()> {
    let mut tests = explored("test --package ksm-storage-core --lib");
    tests.arg("--");
    if args.is_empty() {
        tests.arg("schedules::")
    } else {
        tests.args(args)
    };
    let output = run_and_keep(&mut tests).context(
        "the seed is fixed, so the same schedules fail again; one of them alone: \
         SCHEDULE='what was printed as the failing schedule' cargo xtask schedules NAME_OF_THE_TEST",
    )?;
    ensure!(passed(&output) > 0, "no test was found");
    Ok(())
}

/// A `cargo` command on what [`schedules`] runs, in a folder of its own: the flag would throw away an ordinary build.
pub(crate) fn explored(words: &str) -> Command {
    let mut command = cargo(&format!("{words} --target-dir target/schedules"));
    command.env("RUSTFLAGS", "--cfg shuttle");
    command
}

pub(crate) fn demo(args: &[OsString]) -> Result<()> {
    let mut demo = cargo("run --quiet --package ksm-storage --features aws,keeper,testing --example demo --");
    if args.is_empty() {
        // Stand-ins are on this machine, whatever the SDK is told elsewhere; cargo itself may need the proxy.
        let direct = [env::var("NO_PROXY").unwrap_or_default(), "127.0.0.1".to_owned()].join(",");
        demo.env_remove("KSM_HOSTNAME").env("NO_PROXY", direct);
    }
    run(demo.args(args))
}

/// How many tests passed, by the closing lines of `cargo test`: `test result: ok. 3 passed; ...`.
pub(crate) fn passed(output: &str) -> u64 {
    let closing = output.lines().filter_map(|line| line.strip_prefix("test result: "));
    let counts =
        closing.filter_map(|line| line.split_once(" passed")?.0.rsplit(' ').next()?.parse::<u64>().ok());
    counts.sum()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn passed_tests_are_added_up() {
        let output = "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored\n\nrunning 12 tests\n\
                      test result: ok. 12 passed; 0 failed\ntest result: ok. 3 passed; 0 failed\n";
        assert_eq!(passed(output), 15);
        assert_eq!(passed("test result: ok. 0 passed; 0 failed; 4 ignored"), 0);
        assert_eq!(passed(""), 0);
    }

    #[test]
    fn an_example_that_nobody_runs_is_found() {
        let none = Path::new("no-such-folder");
        let folders = |run_by_tests| Folders { programs: none.to_owned(), run_by_tests };
        let example = |features: &[&str]| {
            let features = features.iter().map(|&feature| feature.to_owned()).collect();
            [Example { package: "ksm-storage".to_owned(), name: "src".to_owned(), features }]
        };
        assert!(examples(&example(&["aws"]), &folders(crate_folder())).is_ok());
        let error = examples(&example(&["aws"]), &folders(none.to_owned())).unwrap_err().to_string();
        assert!(error.contains("no test runs the example src"), "{error}");
        let error = examples(&example(&[]), &folders(none.to_owned())).unwrap_err().to_string();
        assert!(error.contains("cannot be started"), "{error}");
        assert!(examples(&[], &folders(none.to_owned())).is_err());
    }

    /// A folder in which there is something of the name `src`.
    fn crate_folder() -> PathBuf {
        env!("CARGO_MANIFEST_DIR").into()
    }
}
