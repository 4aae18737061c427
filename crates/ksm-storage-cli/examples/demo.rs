//! The whole job as commands: create, bind, status, exec, records. AWS is the emulator, Keeper a fake, both on loopback.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use std::{
    error::Error,
    io::{IsTerminal, stdout},
    path::PathBuf,
    process::{ExitCode, Stdio},
};

use ksm_storage_emulator::{
    Emulator, Server, Value,
    keeper::{AppKeyPolicy, FakeKeeper},
};
use tokio::{io::AsyncWriteExt, process::Command};

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn Error>> {
    let aws = Server::start(Emulator::new("us-east-1")).await?;
    let keeper = FakeKeeper::start(AppKeyPolicy::Once)?;
    println!("AWS Secrets Manager: an emulator on {}", aws.url());
    println!("Keeper:              a fake on https://{}", keeper.hostname().trim_end_matches("/http"));
    let shell = Shell {
        // `ksm-storage` is in the parent of the folder that contains this program, `examples/demo`.
        folder: std::env::current_exe()?.parent().ok_or("no folder")?.to_owned(),
        environment: [
            ("AWS_ACCESS_KEY_ID", "AKIDEMO".into()),
            ("AWS_SECRET_ACCESS_KEY", "demo".into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ENDPOINT_URL", aws.url()),
            ("KSM_HOSTNAME", keeper.hostname()),
            ("KSM_SKIP_VERIFY", "true".into()),
        ],
    };
    // A token in the form that includes the server's key, because the fake has its own.
    let token = format!("IL5:{}:901:{}", keeper.issue_token(), keeper.server_public_key());

    step("1. Create the secret, once");
    println!("  $ aws secretsmanager create-secret --name ksm-config --secret-string '{{}}'");
    aws.emulator().secret("ksm-config").overwrite(Value::Text("{}".into()));
    step("2. Bind it with a one-time token");
    shell.run("bind", &token).await?;
    step("3. Show the client that it holds");
    shell.run("status", "").await?;
    step("4. Start a program that uses Keeper's own SDK");
    for line in include_str!("records.rs").lines().skip_while(|line| !line.starts_with("fn ")) {
        println!("    {line}");
    }
    shell.run("exec -- ./records", "").await?;
    println!("\nNothing was written to disk. The same commands work on your own secret.");
    Ok(())
}

/// Prints the title of a step, in bold on a terminal.
fn step(title: &str) {
    if stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        println!("\n\x1b[1m{title}\x1b[0m");
    } else {
        println!("\n{title}");
    }
}

struct Shell {
    folder: PathBuf,
    environment: [(&'static str, String); 6],
}

impl Shell {
    /// Runs `ksm-storage` in an otherwise empty environment, and shows its output.
    async fn run(&self, args: &str, input: &str) -> Result<(), Box<dyn Error>> {
        println!("  $ ksm-storage {args}");
        let mut child = Command::new(self.folder.join("../ksm-storage"))
            .args(args.split(' '))
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        for line in [output.stderr, output.stdout].concat().split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                println!("    {}", String::from_utf8_lossy(line));
            }
        }
        if output.status.success() { Ok(()) } else { Err("the command failed".into()) }
    }
}
