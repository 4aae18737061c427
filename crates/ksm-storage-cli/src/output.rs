//! Prints results on standard output, and remarks and failures on standard error.

use std::io::{self, IsTerminal, Write};

use serde_json::{Value, json};

use crate::{
    connect::Writer,
    failure::{Failure, Result},
};

/// Destination and format of the output.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    colour: bool,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { json, quiet, colour: !no_colour }
    }

    /// The result of a command: one line of JSON, or text.
    pub(crate) fn result(self, json: &Value, text: &str) -> Result<()> {
        if self.json { raw(format!("{json}\n").as_bytes()) } else { raw(text.as_bytes()) }
    }

    /// The result of a command that writes: with its region and identity, which the text has shown before.
    pub(crate) fn written(self, writer: &Writer, mut json: Value, text: &str) -> Result<()> {
        json["region"] = writer.region.as_deref().into();
        json["identity"] = writer.identity.as_deref().into();
        self.result(&json, text).map_err(|failure| {
            if json["written"] == true {
                failure.after_write("the write took effect, but its result could not be shown")
            } else {
                failure
            }
        })
    }

    /// True if region and identity of a command that writes are shown.
    pub(crate) fn names_writer(self) -> bool {
        self.json || !self.quiet
    }

    /// True if remarks are shown.
    pub(crate) fn remarks(self) -> bool {
        !self.quiet && !self.json
    }

    /// Prints a remark for a person.
    pub(crate) fn remark(self, text: &str) {
        if self.remarks() {
            // If it cannot be shown, there is nobody to report to.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    pub(crate) fn failure(self, failure: &Failure) {
        let mut stderr = io::stderr().lock();
        let _ = if self.json {
            let (Failure { exit, kind, outcome, hint, .. }, message) = (failure, failure.message());
            let error = json!({
                "kind": kind, "outcome": outcome.as_str(), "message": message, "hint": hint, "exit_code": exit.code(),
            });
            writeln!(stderr, "{}", json!({ "error": error }))
        } else if self.colour && io::stderr().is_terminal() {
            writeln!(stderr, "\u{1b}[31mksm-storage:\u{1b}[0m {}", failure.message())
        } else {
            writeln!(stderr, "ksm-storage: {}", failure.message())
        };
    }

    /// The text in bold on a terminal.
    pub(crate) fn bold(self, text: &str) -> String {
        if self.colour && io::stdout().is_terminal() {
            format!("\u{1b}[1m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Prints raw bytes.
pub(crate) fn raw(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        // The reader has seen enough, as `head` has.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::io("cannot write to standard output", &error)),
    }
}
