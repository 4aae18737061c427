//! The findings of `doctor`, step by step.

use std::fmt::Write;

use ksm_storage::Error;
use serde_json::{Value, json};

use crate::{exit::Exit, failure::Failure, output::Output};

/// The result of a step.
#[derive(Debug)]
enum Verdict {
    Ok,
    /// A start works, or may work.
    Warning(Option<String>),
    Failed(Failure),
    NotChecked,
}

#[derive(Debug)]
struct StepResult {
    name: &'static str,
    verdict: Verdict,
    /// The finding or the cause, in one line.
    detail: String,
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<StepResult>);

impl Report {
    pub(crate) fn ok(&mut self, name: &'static str, detail: impl Into<String>) {
        self.push(name, Verdict::Ok, detail);
    }

    pub(crate) fn warning(&mut self, name: &'static str, detail: impl Into<String>, remedy: Option<&str>) {
        self.push(name, Verdict::Warning(remedy.map(str::to_owned)), detail);
    }

    pub(crate) fn failed(&mut self, name: &'static str, failure: impl Into<Failure>) {
        let failure = failure.into();
        let detail = failure.cause.clone();
        self.push(name, Verdict::Failed(failure), detail);
    }

    pub(crate) fn not_checked(&mut self, names: &[&'static str], because: &str) {
        for name in names {
            self.push(name, Verdict::NotChecked, format!("because {because}"));
        }
    }

    /// Records steps that cannot be checked, because the step before them failed.
    pub(crate) fn stopped(&mut self, names: &[&'static str]) {
        let failed = self.0.iter().rfind(|step| matches!(step.verdict, Verdict::Failed(_)));
        let because = failed.map_or_else(String::new, |step| format!("`{}` failed", step.name));
        self.not_checked(names, &because);
    }

    fn push(&mut self, name: &'static str, verdict: Verdict, detail: impl Into<String>) {
        self.0.push(StepResult { name, verdict, detail: detail.into() });
    }

    /// The exit code of the first step that failed.
    pub(crate) fn exit(&self) -> Exit {
        let failed = self.0.iter().find_map(|step| match &step.verdict {
            Verdict::Failed(failure) => Some(failure.exit),
            _ => None,
        });
        failed.unwrap_or(Exit::Success)
    }

    /// The first remedy: of a failed step, otherwise of a warning.
    fn start(&self) -> Option<(&'static str, &str)> {
        let failed = self.0.iter().find(|step| matches!(step.verdict, Verdict::Failed(_)));
        let steps: Vec<_> = failed.map_or_else(|| self.0.iter().collect(), |step| vec![step]);
        steps.into_iter().find_map(|step| Some((step.name, step.remedy()?)))
    }

    pub(crate) fn to_text(&self, output: Output) -> String {
        let mut text = String::new();
        // Steps not checked for the same reason share one entry.
        for steps in self.0.chunk_by(StepResult::is_left_out_with) {
            let verdict = output.bold(&format!("{:<12}", steps[0].verdict.words()));
            let names: Vec<_> = steps.iter().map(|step| step.name).collect();
            let names = names.join(", ");
            let _ = if steps.len() > 1 {
                writeln!(text, "{}, {}: {names}", verdict.trim_end(), steps[0].detail)
            } else {
                writeln!(text, "{verdict} {names:<12} {}", steps[0].detail)
            };
        }
        if let Some((step, remedy)) = self.start() {
            let _ = writeln!(text, "\nstart here, with `{step}`: {remedy}");
        }
        text
    }

    pub(crate) fn to_json(&self) -> Value {
        let steps: Vec<_> = self.0.iter().map(StepResult::to_json).collect();
        let start = self.start().map(|(step, remedy)| json!({ "step": step, "hint": remedy }));
        json!({ "steps": steps, "start_here": start, "exit_code": self.exit().code() })
    }
}

impl StepResult {
    fn is_left_out_with(&self, next: &Self) -> bool {
        let left_out = |step: &Self| matches!(step.verdict, Verdict::NotChecked);
        left_out(self) && left_out(next) && self.detail == next.detail
    }

    fn remedy(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Failed(failure) => failure.hint.as_deref(),
            Verdict::Warning(remedy) => remedy.as_deref(),
            Verdict::Ok | Verdict::NotChecked => None,
        }
    }

    fn to_json(&self) -> Value {
        let kind = match &self.verdict {
            Verdict::Failed(failure) => Some(failure.kind),
            _ => None,
        };
        json!({
            "step": self.name,
            "verdict": self.verdict.words().replace(' ', "_"),
            "detail": self.detail,
            "kind": kind,
            "hint": self.remedy(),
        })
    }
}

impl Verdict {
    fn words(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning(_) => "warning",
            Self::Failed(_) => "failed",
            Self::NotChecked => "not checked",
        }
    }
}

/// The error's message without its remedy.
pub(crate) fn cause(error: &Error) -> String {
    Failure::from(error.clone()).cause
}
