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

The storage is that of --storage, else of KSM_STORAGE, else the secret that KSM_AWS_SECRET names, else aws-sm:ksm-config.

Example:
  ksm-storage status --storage aws-sm://eu-west-1/ksm-config";

/// Binds, inspects, moves and uses Keeper Secrets Manager configurations, wherever they are stored
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
    /// The storage, such as aws-sm:ksm-config or file:ksm.json
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) storage: Option<String>,
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print errors and results alone
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Print more of what is done; up to three times
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
    /// List the versions that AWS keeps: dates, IDs, labels and who wrote them. No value is read
    ///
    /// Needs the permission secretsmanager:ListSecretVersionIds. A version is called foreign if another program made it, and
    /// unknown if that cannot be told any more, because the version before it has expired.
    #[command(after_help = "Example:\n  ksm-storage history --storage aws-sm:ksm-config")]
    History,
    Restore(Restore),
    Import(Import),
    Export(Export),
    Copy(Copy),
    Clear(Clear),
    /// Print a script that completes commands in a shell
    #[command(
        after_help = "Example:\n  ksm-storage completions bash > ~/.local/share/bash-completion/completions/ksm-storage"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Run a program with the configuration in its variable KSM_CONFIG.
///
/// The configuration is loaded once. KSM_TOKEN is removed from the program's environment. On Unix the program takes the
/// place of this one, so that signals, arguments and exit status are its own.
#[derive(Args)]
#[command(
    after_help = "Example:\n  ksm-storage exec --storage aws-sm:ksm-config -- python3 report.py --today"
)]
pub(crate) struct Exec {
    /// The variable to set
    #[arg(long, value_name = "NAME", default_value = "KSM_CONFIG")]
    pub(crate) env: OsString,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// Check step by step what a start needs, and show what to do first where a step fails.
///
/// Nothing is written, but with --write-check. Keeper is asked for no record in the client's name. The exit code is that of the
/// first step that failed.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  ksm-storage doctor --storage aws-sm:ksm-config\n  ksm-storage doctor --write-check --json"
)]
pub(crate) struct Doctor {
    /// Write the content that is stored once more, to see whether writes are allowed
    #[arg(long, conflicts_with = "protocol")]
    pub(crate) write_check: bool,
    /// Put this project's assumptions about AWS to the test, on the secret of --scratch-secret
    #[arg(long, requires = "scratch_secret")]
    pub(crate) protocol: bool,
    /// A secret for that alone, in the region and account of the storage; it is created, and marked by a tag
    #[arg(long, value_name = "NAME", requires = "protocol")]
    pub(crate) scratch_secret: Option<String>,
}

/// Bind a client to Keeper with a one-time token.
///
/// The token is taken from --token-file, else from KSM_TOKEN, else from standard input; a terminal is asked for it without
/// echo. Two versions are written: a key pair, then what Keeper answers. By default Keeper locks the client to the external IP
/// address that the token is first used from: make it with --unlock-ip if the program runs elsewhere.
#[derive(Args)]
#[command(after_help = "Example:\n  ksm-storage bind --storage aws-sm:ksm-config --host EU < token.txt")]
pub(crate) struct Bind {
    /// A file that holds the token; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The host of the Keeper region, or its code such as EU, for a token that does not name it
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// The number of the public key of an isolated Keeper server
    #[arg(long, value_name = "ID")]
    pub(crate) server_public_key_id: Option<String>,
    /// That key, in URL-safe base64
    #[arg(long, value_name = "KEY")]
    pub(crate) server_public_key: Option<String>,
    /// Replace what is stored for another token
    #[arg(long)]
    pub(crate) rebind: bool,
    /// Create the file or the secret if it does not exist
    #[arg(long)]
    pub(crate) create: bool,
}

/// Store the content of an earlier version again.
///
/// The changes are shown before they are made: by one conditional write, as every other one. The versions are those of
/// `ksm-storage history`, of AWS alone. An earlier configuration serves only as long as Keeper accepts its client.
#[derive(Args)]
#[command(
    after_help = "Example:\n  ksm-storage restore 20bed379-30b2-58fd-bb0c-66c0ca8faaad --storage aws-sm:ksm-config"
)]
pub(crate) struct Restore {
    /// The ID of the version
    #[arg(value_name = "VERSION")]
    pub(crate) version: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Store a configuration from a file, standard input or a variable.
///
/// It may be JSON or base64. Unknown keys are kept, those that are stored already too.
#[derive(Args)]
#[command(after_help = "Example:\n  ksm-storage import ksm.json --storage aws-sm:ksm-config --dry-run")]
pub(crate) struct Import {
    /// A file, - for standard input, or env:NAME for a variable
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
/// It holds the client's private key.
#[derive(Args)]
#[command(after_help = "Example:\n  ksm-storage export --reveal --format base64 --output ksm.b64")]
pub(crate) struct Export {
    /// Confirm that secrets are to be shown
    #[arg(long)]
    pub(crate) reveal: bool,
    /// The form
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub(crate) format: Format,
    /// A new file, which only its owner can read, instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// JSON, as it is stored
    Json,
    /// One line of base64, as KSM_CONFIG has it
    Base64,
}

/// Copy a configuration from one storage to another, and read it back.
///
/// Afterwards both hold the same client. Let programs use one of them alone: a key number that one client changes is not seen
/// in the other.
#[derive(Args)]
#[command(after_help = "Example:\n  ksm-storage copy file:ksm.json aws-sm://eu-west-1/ksm-config")]
pub(crate) struct Copy {
    /// The storage to read
    #[arg(value_name = "FROM")]
    pub(crate) from: String,
    /// The storage to write
    #[arg(value_name = "TO")]
    pub(crate) to: String,
    /// Replace a bound or unrecognized document
    #[arg(long)]
    pub(crate) replace: bool,
    /// Create the file or the secret if it does not exist
    #[arg(long)]
    pub(crate) create: bool,
}

/// Remove every key of the configuration; the storage stays.
///
/// The client stays in Keeper's vault, where it is removed by hand.
#[derive(Args)]
#[command(after_help = "Example:\n  ksm-storage clear --storage file:ksm.json --yes")]
pub(crate) struct Clear {
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}
