//! `doctor`: what a start needs, step by step, with what to do where a step fails. It writes nothing.

use std::{env, fmt::Write};

use ksm_storage::{BindState, ConfigStorage, StorageUrl, Writes};
use serde_json::{Value, json};

use crate::{
    cli::Global,
    exit::Exit,
    failure::{Failure, Result},
    output::Output,
    storage::{self, Access, Setting},
};

/// Variables that decide where a start leads. Their values are not shown: some are secret.
const VARIABLES: [&str; 20] = [
    "ALL_PROXY",
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "HTTPS_PROXY",
    "KSM_AWS_SECRET",
    "KSM_CONFIG",
    "KSM_STORAGE",
    "NO_PROXY",
    "SSL_CERT_FILE",
];

struct Step {
    name: &'static str,
    /// The finding, in a few words.
    detail: String,
    failure: Option<Failure>,
}

impl Step {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, detail: detail.into(), failure: None }
    }

    fn failed(name: &'static str, failure: Failure) -> Self {
        Self { name, detail: failure.message.clone(), failure: Some(failure) }
    }
}

pub(crate) async fn run(global: &Global, output: Output) -> Result<Exit> {
    let steps = examine(global).await;
    let mut text = String::new();
    for step in &steps {
        let verdict = if step.failure.is_none() { "ok    " } else { "failed" };
        let _ = writeln!(text, "{}  {:<12} {}", output.bold(verdict), step.name, step.detail);
    }
    let json: Vec<Value> = steps.iter().map(to_json).collect();
    output.result(&json!({ "steps": json }), &text)?;
    Ok(steps.into_iter().find_map(|step| step.failure).map_or(Exit::Success, |failure| failure.exit))
}

fn to_json(step: &Step) -> Value {
    json!({
        "step": step.name,
        "verdict": if step.failure.is_none() { "ok" } else { "failed" },
        "detail": step.detail,
        "kind": step.failure.as_ref().map(|failure| failure.kind),
        "hint": step.failure.as_ref().and_then(|failure| failure.hint.as_deref()),
    })
}

/// The steps up to the first that fails.
async fn examine(global: &Global) -> Vec<Step> {
    let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let set: Vec<_> = VARIABLES.into_iter().filter(is_set).collect();
    let set = if set.is_empty() { "none of those that matter here".to_owned() } else { set.join(", ") };
    let mut steps = vec![Step::ok("variables", format!("set: {set}"))];

    let parsed = storage::url(global).and_then(|Setting { url, origin }| {
        Ok((url.parse::<StorageUrl>()?.scheme().to_owned(), url, origin))
    });
    let url = match parsed {
        Ok((scheme, url, origin)) => {
            steps.push(Step::ok("setting", format!("a storage of the scheme {scheme}, from {origin}")));
            url
        }
        Err(failure) => {
            steps.push(Step::failed("setting", failure));
            return steps;
        }
    };
    match storage::open_url(&url, Access::Read).await {
        Ok(storage) => steps.extend(opened(&storage)),
        Err(failure) => steps.push(Step::failed("open", failure)),
    }
    steps
}

fn opened(storage: &ConfigStorage) -> Vec<Step> {
    let (snapshot, location) = (storage.snapshot(), storage.location());
    let document = snapshot.document();
    let writes = match storage.capabilities().writes {
        Writes::ReadOnly => "read-only",
        _ => "writable, as far as its kind goes",
    };
    let known = document.names().count() - document.unknown_keys();
    let state = match snapshot.bind_state() {
        BindState::Bound => Step::ok("state", "bound"),
        state => {
            let hint = match state {
                BindState::Empty | BindState::Unbound => "bind it with `ksm-storage bind`",
                BindState::Invalid(_) => {
                    "restore an earlier version of it, or bind anew with `ksm-storage bind --rebind`"
                }
                _ => "choose another storage, or store a configuration with `ksm-storage import --replace`",
            };
            let problem = format!("the configuration is {}", state.as_str());
            Step::failed("state", Failure::new(Exit::Unbound, "unbound", problem, hint))
        }
    };
    vec![
        Step::ok("open", format!("{location}, version {}", snapshot.version())),
        Step::ok("writes", writes),
        Step::ok("document", format!("{known} known keys, {} unknown", document.unknown_keys())),
        state,
    ]
}
