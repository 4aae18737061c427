//! The grammar of the command line.

#![expect(clippy::doc_markdown, reason = "the help shows these texts as they are")]

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

const STORAGES: &str = "\
Storages:
  aws-sm:NAME, aws-sm://REGION/NAME, aws-sm:ARN   a secret of AWS Secrets Manager
  file:PATH, file:///PATH                         a private JSON file
  env:NAME                                        a variable, as JSON or base64; read-only

The storage is the one named by --storage, otherwise by KSM_STORAGE, otherwise by KSM_AWS_SECRET; the default is aws-sm:ksm-config.

Example:
  ksm-storage status --storage aws-sm://eu-west-1/ksm-config";

/// Bind, inspect, move and use Keeper Secrets Manager configurations, wherever they are stored
#[derive(Parser)]
#[command(name = "ksm-storage", version, after_help = STORAGES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// URL of the storage, such as aws-sm:ksm-config or file:ksm.json
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) storage: Option<String>,
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only results and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Print more details; may be given up to three times
    #[arg(long, short, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Exec(Exec),
    /// Show where the configuration is, which keys it has, and whether it is bound
    #[command(after_help = "Example:\n  ksm-storage status --storage file:ksm.json --json")]
    Status,
    Doctor(Doctor),
    Bind(Bind),
    /// List the versions that AWS keeps, with dates, IDs, labels and writers. Values are not read
    ///
    /// Requires the permission secretsmanager:ListSecretVersionIds. A version written by another program is called
    /// foreign. If the version before it has expired, the writer is unknown.
    #[command(after_help = "Example:\n  ksm-storage history --storage aws-sm:ksm-config")]
    History,
    Restore(Restore),
    Import(Import),
    Export(Export),
    Copy(Copy),
    Clear(Clear),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  ksm-storage completions bash > ~/.local/share/bash-completion/completions/ksm-storage"
    )]
    Completions {
        /// Shell to complete commands in
        shell: Shell,
    },
}

/// Run a program with the configuration in the environment variable KSM_CONFIG.
///
/// The configuration is loaded once. KSM_TOKEN is removed from the program's environment. On Unix, the program replaces
/// this process, so that signals and exit status are its own.
#[derive(Args)]
#[command(
    after_help = "Example:\n  ksm-storage exec --storage aws-sm:ksm-config -- python3 report.py --today"
)]
pub(crate) struct Exec {
    /// Variable to set
    #[arg(long, value_name = "NAME", default_value = "KSM_CONFIG")]
    pub(crate) env: OsString,
    /// Program to run, and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// Check everything that a program needs to start, and show what to fix first.
///
/// Nothing is written, except with --write-check or --protocol. If the client is bound, Keeper is asked once, for a
/// record that does not exist. The exit code is that of the first failed step.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ksm-storage doctor --storage aws-sm:ksm-config\n  ksm-storage doctor --write-check --json"
)]
pub(crate) struct Doctor {
    /// Store the current content again, to check that writes are allowed
    #[arg(long, conflicts_with = "protocol")]
    pub(crate) write_check: bool,
    /// Test this project's assumptions about AWS, on the secret named by --scratch-secret
    #[arg(long, requires = "scratch_secret")]
    pub(crate) protocol: bool,
    /// Secret used only for --protocol, in the region and account of the storage; it is created and tagged
    #[arg(long, value_name = "NAME", requires = "protocol")]
    pub(crate) scratch_secret: Option<String>,
}

/// Bind a client to Keeper with a one-time token.
///
/// The token is read from --token-file, otherwise from KSM_TOKEN, otherwise from standard input; on a terminal, without
/// echo. Two versions are written: a key pair, then Keeper's reply. By default, Keeper locks the client to the external
/// IP address from which the token is first used. If the program runs elsewhere, create the token with --unlock-ip.
#[derive(Args)]
#[command(after_help = "Example:\n  ksm-storage bind --storage aws-sm:ksm-config --host EU < token.txt")]
pub(crate) struct Bind {
    /// File that contains the token, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Host of the Keeper region, or its code such as EU, if the token does not contain it
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// ID of the public key of an isolated Keeper server
    #[arg(long, value_name = "ID")]
    pub(crate) server_public_key_id: Option<String>,
    /// The public key itself, in URL-safe base64
    #[arg(long, value_name = "KEY")]
    pub(crate) server_public_key: Option<String>,
    /// Replace a configuration that belongs to another token
    #[arg(long)]
    pub(crate) rebind: bool,
    /// Create the file or the secret if it does not exist
    #[arg(long)]
    pub(crate) create: bool,
}

/// Store the content of an earlier version again.
///
/// The changes are shown first, and made in one conditional write. `ksm-storage history` lists the versions, which only
/// AWS keeps. An earlier configuration works only as long as Keeper accepts its client.
#[derive(Args)]
#[command(
    after_help = "Example:\n  ksm-storage restore 20bed379-30b2-58fd-bb0c-66c0ca8faaad --storage aws-sm:ksm-config"
)]
pub(crate) struct Restore {
    /// ID of the version
    #[arg(value_name = "VERSION")]
    pub(crate) version: String,
    /// Do not ask for confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Store a configuration from a file, standard input or a variable.
///
/// The configuration may be JSON or base64. Unknown keys are kept, including those already stored.
#[derive(Args)]
#[command(after_help = "Example:\n  ksm-storage import ksm.json --storage aws-sm:ksm-config --dry-run")]
pub(crate) struct Import {
    /// File, - for standard input, or env:NAME for a variable
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,
    /// Replace a bound or unrecognized document
    #[arg(long)]
    pub(crate) replace: bool,
    /// Only show the changes
    #[arg(long, conflicts_with = "create")]
    pub(crate) dry_run: bool,
    /// Create the file or the secret if it does not exist
    #[arg(long)]
    pub(crate) create: bool,
}

/// Print the configuration, or write it to a private file.
///
/// The configuration contains the client's private key.
#[derive(Args)]
#[command(after_help = "Example:\n  ksm-storage export --reveal --format base64 --output ksm.b64")]
pub(crate) struct Export {
    /// Confirm that secrets may be shown
    #[arg(long)]
    pub(crate) reveal: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub(crate) format: Format,
    /// New file, readable only by its owner, instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// JSON, as stored
    Json,
    /// One line of base64, as in KSM_CONFIG
    Base64,
}

/// Copy a configuration from one storage to another, and read it back.
///
/// Afterwards, both contain the same client. Let programs use only one of them: if a client changes the server key ID
/// in one, the other does not see it.
#[derive(Args)]
#[command(after_help = "Example:\n  ksm-storage copy file:ksm.json aws-sm://eu-west-1/ksm-config")]
pub(crate) struct Copy {
    /// Storage to read
    #[arg(value_name = "FROM")]
    pub(crate) from: String,
    /// Storage to write
    #[arg(value_name = "TO")]
    pub(crate) to: String,
    /// Replace a bound or unrecognized document
    #[arg(long)]
    pub(crate) replace: bool,
    /// Create the file or the secret if it does not exist
    #[arg(long)]
    pub(crate) create: bool,
}

/// Remove every key of the configuration; the storage itself remains.
///
/// The client remains in Keeper's vault, where it must be removed by hand.
#[derive(Args)]
#[command(after_help = "Example:\n  ksm-storage clear --storage file:ksm.json --yes")]
pub(crate) struct Clear {
    /// Do not ask for confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}
