//! What must not stand in the tree.

use std::fs;

use anyhow::{Result, ensure};

use crate::run::{output, root, say};

/// Written in two halves, so that this file does not contain them.
const FORBIDDEN: &[(&str, &str)] = &[
    ("``", "`ignore"),
    ("#[", "ignore"),
    ("todo", "!("),
    ("unimplemented", "!("),
    ("allow(", "dead_code"),
];

/// No unfinished code, no skipped test, no code block that is not compiled.
pub(crate) fn check() -> Result<()> {
    let files = output(std::process::Command::new("git").current_dir(root()).args(["ls-files", "*.rs", "*.md"]))?;
    let mut found = 0;
    let mut read = 0;
    for file in files.lines() {
        let Ok(text) = fs::read_to_string(root().join(file)) else { continue };
        read += 1;
        for (number, line) in text.lines().enumerate() {
            if FORBIDDEN.iter().any(|(start, end)| line.contains(&format!("{start}{end}"))) {
                found += 1;
                say(&format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    ensure!(read > 0, "no file was found to look at");
    ensure!(found == 0, "{found} lines hold what must not be there");
    Ok(())
}
