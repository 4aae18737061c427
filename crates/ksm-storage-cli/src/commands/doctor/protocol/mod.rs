//! `doctor --protocol`: tests each assumption of this project about AWS on a secret created for that purpose.

mod checks;
mod scratch;

use std::fmt::Write;

use ksm_storage::OpenOptions;
use serde_json::json;

use self::scratch::Scratch;
use crate::{
    cli::Global,
    connect::Found,
    exit::Exit,
    failure::{Failure, Result},
    output::Output,
    storage,
};

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Holds,
    Differs,
    NotChecked,
}

impl Verdict {
    fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Differs => "differs",
            Self::NotChecked => "not checked",
        }
    }
}

/// An assumption, and the observation.
#[derive(Debug)]
pub(super) struct Finding {
    assumption: &'static str,
    observation: String,
    verdict: Verdict,
}

/// The findings so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, assumption: &'static str, holds: bool, observation: impl Into<String>) {
        let verdict = if holds { Verdict::Holds } else { Verdict::Differs };
        self.0.push(Finding { assumption, observation: observation.into(), verdict });
    }

    pub(super) fn not_checked(&mut self, assumption: &'static str, because: &str) {
        let observation = format!("because {because}");
        self.0.push(Finding { assumption, observation, verdict: Verdict::NotChecked });
    }
}

pub(super) async fn run(name: &str, global: &Global, output: Output) -> Result<Exit> {
    let found = Found::default();
    let (_, source) = storage::url(global)?.source(&found)?;
    super::within(OpenOptions::default().deadline, source.connect(&OpenOptions::default())).await?;
    let Some(connection) = found.connection() else {
        return Err(Failure::usage(
            "--protocol is for AWS Secrets Manager",
            "name a secret in --storage, whose region and credentials are used; it is not touched",
        ));
    };
    found.announce(output).await;
    let mut scratch = Scratch::open(connection, name).await?;
    output.remark(&format!(
        "about 20 versions will be written to the secret {name}, which is used for nothing else"
    ));
    let mut findings = Findings::default();
    checks::run(&mut scratch, &mut findings).await;

    let mut text = String::new();
    for Finding { assumption, observation, verdict } in &findings.0 {
        let verdict = output.bold(&format!("{:<12}", verdict.words()));
        let _ = writeln!(text, "{verdict} {assumption}\n             -> {observation}");
    }
    let remove = scratch.remove_command();
    let _ = writeln!(text, "\nto remove the secret: {remove}");
    let shown = findings.0.iter().map(|finding| {
        json!({
            "assumption": finding.assumption,
            "observation": finding.observation,
            "verdict": finding.verdict.words().replace(' ', "_"),
        })
    });
    let shown: Vec<_> = shown.collect();
    output.result(&json!({ "assumptions": shown, "remove": remove }), &text)?;
    let differs = findings.0.iter().any(|finding| finding.verdict == Verdict::Differs);
    Ok(if differs { Exit::Other } else { Exit::Success })
}

/// The error for a secret that may belong to somebody else.
fn unmarked(name: &str) -> Failure {
    let problem =
        format!("the secret {} exists, and was not created for this purpose", ksm_storage::shell_word(name));
    Failure::refused(problem, "name a new one, which is then created and tagged")
}
