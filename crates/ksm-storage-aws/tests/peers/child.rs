//! Child processes of this test program.

use std::{
    env,
    process::{Command, ExitCode},
};

use ksm_storage_aws::{AwsSecretStorage, Concurrency};
use ksm_storage_core::{ConfigDocument, ConfigKey::Url, Error, ErrorKind, ExposeSecret, Outcome};
use python_peers::{Process, Program};

use crate::{Checked, Servers, block_on, equal, sdk_config};

/// The first argument of a child.
pub(crate) const FLAG: &str = "--child";

const PROCESSES: usize = 4;
const INCREMENTS: usize = 25;

/// Starts a child with only these environment variables.
pub(crate) fn start(task: &[&str], variables: &[(&str, &str)]) -> Result<Process, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    Process::start(command.arg(FLAG).args(task).env_clear().envs(variables.iter().copied()))
}

/// Runs the task of a child.
#[expect(clippy::print_stderr, reason = "the parent reads it")]
pub(crate) fn run(task: &[String]) -> ExitCode {
    let result = match task.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["increment", mode, secret, url] => increment(mode, secret, url),
        ["open", mode, secret] => open(mode, secret),
        _ => Err(format!("unknown task {task:?}").into()),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// Several processes that write equal contents, a bare counter.
pub(crate) fn increments(servers: &Servers, mode: &str) -> Checked {
    let secret = servers.secret(Program::Moto, mode, "{}")?;
    let start = |_| start(&["increment", mode, &secret.arn, &secret.url], &[]);
    let processes = (0..PROCESSES).map(start).collect::<Result<Vec<_>, _>>()?;
    for process in processes {
        process.wait()?;
    }
    let document = ConfigDocument::parse(secret.peer("get", &[])?.as_bytes())?;
    let counted = document.get(Url).map(ExposeSecret::expose_secret).unwrap_or_default();
    equal(counted, &(PROCESSES * INCREMENTS).to_string())
}

fn increment(mode: &str, secret: &str, url: &str) -> Checked {
    let concurrency = if mode == "strict" { Concurrency::Strict } else { Concurrency::Optimistic };
    let add_one = |document: &mut ConfigDocument| {
        let count = document.get(Url).and_then(|value| value.expose_secret().parse().ok()).unwrap_or(0_u32);
        document.set(Url, (count + 1).to_string());
        Ok::<_, Error>(())
    };
    block_on(async {
        let builder = AwsSecretStorage::from_sdk_config(secret, &sdk_config(url));
        let storage = builder.concurrency(concurrency).open().await?;
        for _ in 0..INCREMENTS {
            while let Err(error) = storage.update(add_one).await {
                let contention = matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Timeout);
                if !contention || error.outcome() != Outcome::NotApplied {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    })
}

fn open(mode: &str, secret: &str) -> Checked {
    block_on(async {
        let builder = match mode {
            "ec2" => AwsSecretStorage::from_ec2_instance_config(secret).without_fallback(),
            "default" => AwsSecretStorage::from_default_config(secret),
            profile => AwsSecretStorage::from_profile_config(secret, profile),
        };
        builder.open().await?;
        Ok(())
    })
}
