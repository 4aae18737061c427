//! `export`: prints the configuration itself.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    cli::{Export, Format, Global},
    failure::{Failure, Result},
    output::{self, Output},
    storage::{self, Access},
};

pub(crate) async fn run(args: Export, global: &Global, output: Output) -> Result<()> {
    if !args.reveal {
        return Err(Failure::usage(
            "export shows the client's private key",
            "confirm with --reveal; for names and lengths there is `ksm-storage status`",
        ));
    }
    let storage = storage::open(global, Access::Read).await?;
    let payload = storage.snapshot().document().to_payload();
    let mut bytes = Zeroizing::new(match args.format {
        Format::Json => payload.as_bytes().to_vec(),
        Format::Base64 => STANDARD.encode(payload.as_bytes()).into_bytes(),
    });
    bytes.push(b'\n');
    let Some(path) = args.output else { return output::raw(&bytes) };
    let shown = path.to_string_lossy().into_owned();
    create(&path, &bytes).map_err(|error| {
        let shown = ksm_storage::shell_word(&shown);
        match error.kind() {
            io::ErrorKind::AlreadyExists => {
                Failure::refused(format!("{shown} exists already"), "name a new file: none is replaced")
            }
            _ => Failure::io(&format!("cannot create {shown}"), &error),
        }
    })?;
    let json = json!({ "location": storage.location().to_string(), "output": shown });
    output.result(&json, &format!("exported {} to {}\n", storage.location(), ksm_storage::shell_word(&shown)))
}

/// Creates a file that only its owner can read. Never touches an existing file; removes the file if the write fails.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.inspect_err(|_| {
        // The first error is the one to report.
        let _ = fs::remove_file(path);
    })
}
