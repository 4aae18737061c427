//! Credentials from the program that a profile names as its `credential_process`:
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>

use std::{fmt, process::Stdio, time::SystemTime};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use aws_smithy_types::{DateTime, date_time::Format};
use ksm_storage_core::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use tokio::{io::AsyncReadExt, process::Command};

use crate::cause::Cause;

/// The maximum length of a program's output, in bytes.
pub(crate) const MAX_OUTPUT: u64 = 64 << 10;

/// A profile's program. It is killed together with its descendants when the call that waits for it ends.
pub(crate) struct Process(pub(crate) SecretString);

impl Process {
    async fn run(&self) -> Result<Credentials, CredentialsError> {
        let mut command = shell(self.0.expose_secret());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let failed = |problem| {
            CredentialsError::provider_error(ProcessFailed { cause: Cause::ProgramFailed, problem })
        };
        let mut child = command
            .spawn()
            .map_err(|error| failed(format!("the shell cannot be started ({})", error.kind())))?;
        let group = Group::of(&child);
        let mut output = Vec::new();
        let stdout = child.stdout.take().ok_or_else(|| failed("it has no output".to_owned()))?;
        stdout
            .take(MAX_OUTPUT + 1)
            .read_to_end(&mut output)
            .await
            .map_err(|error| failed(format!("its output cannot be read ({})", error.kind())))?;
        if output.len() as u64 > MAX_OUTPUT {
            return Err(failed(format!("its output is longer than {MAX_OUTPUT} bytes")));
        }
        let status =
            child.wait().await.map_err(|error| failed(format!("status unknown ({})", error.kind())))?;
        group.release();
        // The shell's exit codes for a missing program, and for one that may not be run.
        if matches!(status.code(), Some(126 | 127)) {
            let problem = format!("it ended with {status}");
            let failed = ProcessFailed { cause: Cause::ProgramMissing, problem };
            return Err(CredentialsError::provider_error(failed));
        }
        if !status.success() {
            return Err(failed(format!("it ended with {status}")));
        }
        parse(&output).map_err(|problem| failed(format!("its output is invalid: {problem}")))
    }
}

impl ProvideCredentials for Process {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.run())
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Process")
    }
}

/// The reason why a `credential_process` provided no credentials.
#[derive(Debug)]
pub(crate) struct ProcessFailed {
    pub(crate) cause: Cause,
    problem: String,
}

impl fmt::Display for ProcessFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause.words(), self.problem)
    }
}

impl std::error::Error for ProcessFailed {}

#[cfg(windows)]
fn shell(line: &str) -> Command {
    let mut command = Command::new("cmd.exe");
    command.arg("/C").raw_arg(format!("\"{line}\""));
    command
}

#[cfg(not(windows))]
fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    #[cfg(unix)]
    command.process_group(0);
    command
}

/// The process group of a child. Killed with all its remaining members.
struct Group(#[cfg(unix)] Option<rustix::process::Pid>);

impl Group {
    #[cfg(unix)]
    fn of(child: &tokio::process::Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(rustix::process::Pid::from_raw))
    }

    #[cfg(not(unix))]
    fn of(_: &tokio::process::Child) -> Self {
        Self()
    }

    /// The child has ended. Processes that it left behind, such as an agent, may stay.
    #[cfg_attr(not(unix), expect(clippy::unused_self, reason = "there are no groups"))]
    fn release(mut self) {
        #[cfg(unix)]
        self.0.take();
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Fails if the group has already ended.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Errors quote nothing of the output.
fn parse(output: &[u8]) -> Result<Credentials, &'static str> {
    let output: Map<String, Value> = serde_json::from_slice(output).map_err(|_| "it is not a JSON object")?;
    let field =
        |name: &str| output.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    if field("Version").and_then(Value::as_u64) != Some(1) {
        return Err("its Version is not 1");
    }
    let text = |name: &str, problem| match field(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(problem),
    };
    let id = text("AccessKeyId", "its AccessKeyId is not a string")?.ok_or("it has no AccessKeyId")?;
    let key =
        text("SecretAccessKey", "its SecretAccessKey is not a string")?.ok_or("it has no SecretAccessKey")?;
    let token = text("SessionToken", "its SessionToken is not a string")?;
    let expiry = text("Expiration", "its Expiration is not a string")?.map(|time| {
        let time = DateTime::from_str(&time, Format::DateTimeWithOffset)
            .map_err(|_| "its Expiration is not a timestamp")?;
        SystemTime::try_from(time).map_err(|_| "its Expiration is not a timestamp")
    });
    Ok(Credentials::new(id, key, token, expiry.transpose()?, "credential_process"))
}
