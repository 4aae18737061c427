//! Runs a scenario in a child process, and collects its findings.

use std::{
    env, fmt,
    process::{Command, Stdio},
};

use crate::scan::Needle;

/// The prefix of lines that a child prints for its parent.
pub(crate) const MARK: &str = "found:";

/// The copies left behind by one scenario, step by step.
pub(crate) struct Report {
    scenario: String,
    steps: Vec<StepReport>,
}

struct StepReport {
    name: String,
    count: usize,
    on_stack: usize,
    what: String,
}

impl Report {
    /// The number of copies after a step.
    #[track_caller]
    pub(crate) fn left(&self, step: &str) -> usize {
        self.step(step).count
    }

    /// The number of copies outside the stack.
    #[track_caller]
    pub(crate) fn left_off_stack(&self, step: &str) -> usize {
        let step = self.step(step);
        step.count - step.on_stack
    }

    #[track_caller]
    fn step(&self, name: &str) -> &StepReport {
        self.steps.iter().find(|step| step.name == name).unwrap()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.scenario)?;
        for StepReport { name, count, what, .. } in &self.steps {
            writeln!(f, "  {name:<16} {count:>3}  {what}")?;
        }
        Ok(())
    }
}

pub(crate) fn run(scenario: &str, secret: &str, variables: &[(&str, &str)]) -> Report {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child::child", "--nocapture"])
        .env_clear()
        .env("SCENARIO", scenario)
        .env("MASKED", Needle::masked(secret))
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [text, errors] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{scenario}: {text}{errors}");
    let steps = text.lines().filter_map(|line| {
        // The test framework may have started the line.
        let (_, line) = line.split_once(MARK)?;
        let mut parts = line.splitn(4, '\t').map(str::to_owned);
        let (name, count, on_stack) = (parts.next()?, parts.next()?, parts.next()?);
        let [count, on_stack] = [count, on_stack].map(|count| count.parse().unwrap());
        Some(StepReport { name, count, on_stack, what: parts.next()? })
    });
    Report { scenario: scenario.to_owned(), steps: steps.collect() }
}
