//! Several processes that increment one counter, with the default limits, over HTTP.

use std::{
    env,
    process::{Command, Stdio},
};

use ksm_storage_core::{ConfigDocument, ConfigKey, Error, ErrorKind, ExposeSecret, Outcome};
use ksm_storage_emulator::{Action, Server};

use crate::{Result, queue::open, service};

pub(crate) const PROCESSES: usize = 8;
pub(crate) const INCREMENTS: usize = 25;

pub(crate) struct Processes {
    /// What the counter says in the end.
    pub(crate) counted: usize,
    /// How many updates ended in a conflict, and how many in a timeout without an effect. They were made again.
    pub(crate) conflicts: usize,
    pub(crate) timeouts: usize,
    pub(crate) gets: usize,
    pub(crate) puts: usize,
}

pub(crate) async fn measure() -> Result<Processes> {
    let emulator = service::emulator(r#"{"url": "0"}"#);
    let server = Server::start(emulator.clone()).await?;
    let spawn = |_| {
        let mut child = Command::new(env::current_exe()?);
        child.args(["increment", &server.url()]).env_clear().stdin(Stdio::null()).stdout(Stdio::piped());
        child.spawn()
    };
    let children = (0..PROCESSES).map(spawn).collect::<std::io::Result<Vec<_>>>()?;
    let (mut conflicts, mut timeouts) = (0, 0);
    for child in children {
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(format!("a process failed: {}", output.status).into());
        }
        let printed = String::from_utf8(output.stdout)?;
        let (own_conflicts, own_timeouts) =
            printed.trim().split_once(' ').ok_or("a process printed no two numbers")?;
        conflicts += own_conflicts.parse::<usize>()?;
        timeouts += own_timeouts.parse::<usize>()?;
    }
    let stored = emulator.secret("ksm-config").value("AWSCURRENT").ok_or("the secret has no value")?;
    Ok(Processes {
        counted: count(&ConfigDocument::parse(stored.as_bytes())?)?,
        conflicts,
        timeouts,
        gets: emulator.calls(Action::GetSecretValue),
        puts: emulator.calls(Action::PutSecretValue),
    })
}

fn count(document: &ConfigDocument) -> Result<usize> {
    let count = document.get(ConfigKey::Url).ok_or("there is no counter")?;
    Ok(count.expose_secret().parse()?)
}

/// What each process does; prints how often an update ended in a conflict, and how often in a timeout.
pub(crate) fn increment(url: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let storage = open(url).await?;
        let (mut conflicts, mut timeouts) = (0, 0);
        for _ in 0..INCREMENTS {
            while let Err(error) = storage
                .update(|document| {
                    let next = count(document).map_err(|_| Error::refused("there is no counter"))? + 1;
                    document.set(ConfigKey::Url, next.to_string());
                    Ok::<_, Error>(())
                })
                .await
            {
                // What may have been made must not be made again.
                match (error.kind(), error.outcome()) {
                    (ErrorKind::Conflict, Outcome::NotApplied) => conflicts += 1,
                    (ErrorKind::Timeout, Outcome::NotApplied) => timeouts += 1,
                    _ => return Err(error.into()),
                }
            }
        }
        println!("{conflicts} {timeouts}");
        Ok(())
    })
}
