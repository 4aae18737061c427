//! Serves AWS Secrets Manager, STS, the SSO portal, instance metadata and a fake Keeper service on loopback.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it reports addresses and errors")]

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    thread,
};

use clap::{Parser, ValueEnum};
use ksm_storage_emulator::{
    Emulator, Server, Value,
    control::ControlServer,
    keeper::{AppKeyPolicy, FakeKeeper},
};
use serde_json::{Value as Json, json};
use tokio::{runtime::Runtime, sync::oneshot};

const HELP: &str = "\
Example:
  ksm-storage-emulator --secret ksm-config='{}' --keeper once --json

It runs until a signal ends it or, if standard input is a pipe, until that is closed. A test in any language starts it
with a pipe, reads one line of JSON and closes the pipe at its end. Faults, call counts, quotas and tokens are controlled
over HTTP at the URL `control`; the table of requests is in the README of the crate.";

/// Serve AWS Secrets Manager, STS, the SSO portal, instance metadata and a fake Keeper service on loopback, for tests
#[derive(Parser)]
#[command(name = "ksm-storage-emulator", after_help = HELP)]
struct Args {
    /// Secret to create; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = secret)]
    secret: Vec<(String, String)>,
    /// AWS region
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Port of the AWS services [default: a free one]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Also serve a fake Keeper, which sends the application key under this policy
    #[arg(long, value_name = "POLICY")]
    keeper: Option<Policy>,
    /// Number of one-time tokens to issue at the start
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "keeper")]
    tokens: usize,
    /// Lock clients to the address from which they bind, as Keeper does by default
    #[arg(long, requires = "keeper")]
    ip_lock: bool,
    /// Write the certificate of the fake Keeper to this file, in PEM
    #[arg(long, value_name = "FILE", requires = "keeper")]
    ca_file: Option<PathBuf>,
    /// Print one line of JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Policy {
    /// In the first reply only
    Once,
    /// In every reply, until a request shows that the client has it
    UntilConfirmed,
}

fn secret(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let ran = Runtime::new().and_then(|runtime| {
        let ran = runtime.block_on(run(args));
        runtime.shutdown_background();
        ran
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ksm-storage-emulator: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> io::Result<()> {
    let emulator = Emulator::new(args.region);
    for (name, value) in args.secret {
        emulator.secret(name).overwrite(Value::Text(value.as_str().into()));
    }
    let server = Server::bind(emulator, SocketAddr::from(([127, 0, 0, 1], args.port))).await?;
    let keeper = args.keeper.map(|policy| match policy {
        Policy::Once => FakeKeeper::start(AppKeyPolicy::Once),
        Policy::UntilConfirmed => FakeKeeper::start(AppKeyPolicy::UntilConfirmed),
    });
    let keeper = keeper.transpose()?.map(Arc::new);
    let control = ControlServer::start(&server, keeper.clone()).await?;

    let mut report = aws(&server, &control);
    if let Some(keeper) = &keeper {
        if let Some(file) = &args.ca_file {
            fs::write(file, keeper.certificate())?;
        }
        let issue = || if args.ip_lock { keeper.issue_ip_locked_token() } else { keeper.issue_token() };
        let tokens: Vec<_> = std::iter::repeat_with(issue).take(args.tokens).collect();
        let environment = &mut report["environment"];
        environment["KSM_HOSTNAME"] = keeper.hostname().into();
        environment["KSM_SKIP_VERIFY"] = "true".into();
        if let Some(token) = tokens.first() {
            environment["KSM_TOKEN"] = token.as_str().into();
        }
        report["keeper"] = json!({
            "hostname": keeper.hostname(), "server_public_key_id": keeper.server_public_key_id(),
            "server_public_key": keeper.server_public_key(), "tokens": tokens,
            "ca": keeper.certificate(), "ca_file": args.ca_file,
        });
    }
    let ended = ended()?;
    let report = if args.json { format!("{report}\n") } else { text(&report) };
    io::stdout().write_all(report.as_bytes())?;
    io::stdout().flush()?;
    ended.await;
    Ok(())
}

fn aws(server: &Server, control: &ControlServer) -> Json {
    let (url, region) = (server.url(), server.emulator().region());
    json!({
        "secrets_manager": url, "sts": url, "sso": url, "instance_metadata": url,
        "region": region, "control": control.url(), "keeper": null,
        "environment": {
            "AWS_ENDPOINT_URL": url, "AWS_EC2_METADATA_SERVICE_ENDPOINT": url,
            // The AWS CLI and boto3 read only the second name.
            "AWS_REGION": region, "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": "AKIAEMULATED00000000", "AWS_SECRET_ACCESS_KEY": "emulated",
        },
    })
}

/// The report for people, with the variables in shell syntax.
fn text(report: &Json) -> String {
    let field = |pointer: &str| report.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let mut text = format!(
        "AWS:     {} (Secrets Manager, STS, SSO portal, instance metadata; region {})\nControl: {}\n",
        field("/secrets_manager"),
        field("/region"),
        field("/control")
    );
    if report["keeper"].is_object() {
        let _ = write!(
            text,
            "Keeper:  {}, public key {}: {}\n\n{}",
            field("/keeper/hostname"),
            field("/keeper/server_public_key_id"),
            field("/keeper/server_public_key"),
            field("/keeper/ca")
        );
        for token in report["keeper"]["tokens"].as_array().into_iter().flatten() {
            let _ = write!(text, "\nOne-time token: {}", token.as_str().unwrap_or_default());
        }
        text.push('\n');
    }
    text.push('\n');
    for (name, value) in report["environment"].as_object().into_iter().flatten() {
        let _ = writeln!(text, "export {name}='{}'", value.as_str().unwrap_or_default());
    }
    text
}

/// Completes when a signal asks the program to end or, if standard input is a pipe, when that is closed.
fn ended() -> io::Result<impl Future<Output = ()>> {
    let signal = signal()?;
    let is_pipe = stdin_is_pipe();
    let (closed, stdin_closed) = oneshot::channel::<()>();
    if is_pipe {
        thread::Builder::new().name("stdin".into()).spawn(move || {
            let mut buffer = [0; 4096];
            while io::stdin().read(&mut buffer).is_ok_and(|length| length > 0) {}
            drop(closed);
        })?;
    }
    Ok(async move {
        tokio::select! {
            () = signal => {}
            _ = stdin_closed, if is_pipe => {}
        }
    })
}

/// Excludes terminals, because reading one stops a background job, and `/dev/null`, which shells give to background
/// jobs.
#[cfg(unix)]
fn stdin_is_pipe() -> bool {
    use std::os::{fd::AsFd, unix::fs::FileTypeExt};
    let Ok(stdin) = io::stdin().as_fd().try_clone_to_owned() else { return false };
    let kind = fs::File::from(stdin).metadata().map(|metadata| metadata.file_type());
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
}

#[cfg(not(unix))]
fn stdin_is_pipe() -> bool {
    !io::IsTerminal::is_terminal(&io::stdin())
}

#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminated, mut interrupted) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
