//! What must not stand in the tree.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};

use crate::run::{output, root, say};

/// Written in two halves, so that this file does not contain them.
const FORBIDDEN: &[(&str, &str)] =
    // The last but one shows raw replies of AWS, secrets included.
    &[
        ("#[", "ignore"),
        ("todo", "!("),
        ("unimplemented", "!("),
        ("Display", "ErrorContext"),
        ("allow(", "dead_code"),
    ];

/// What a test has on it that others run, as a process of its own.
const CHILD: &str = concat!("#[", r#"ignore = "run as a child process by the other tests"]"#);
/// Errors of the AWS SDK are handled in these files and no other. Their `Debug` shows raw replies.
const WITHOUT_DEBUG: [&str; 2] =
    ["crates/ksm-storage-aws/src/interceptors.rs", "crates/ksm-storage-aws/src/sdk.rs"];

/// No unfinished code, no skipped test, no code block that is not compiled.
pub(crate) fn check() -> Result<()> {
    let mut found = 0;
    let mut read = 0;
    let files = tracked(&["*.rs", "*.md"])?;
    for file in WITHOUT_DEBUG {
        ensure!(files.iter().any(|tracked| tracked == file), "{file} is elsewhere now");
    }
    for file in &files {
        let text = fs::read_to_string(root().join(file)).with_context(|| format!("{file} cannot be read"))?;
        read += 1;
        let forbidden =
            |line: &str| is_forbidden(line) || (WITHOUT_DEBUG.contains(&&**file) && shows_debug(line));
        for (number, line) in text.lines().enumerate().filter(|(_, line)| forbidden(line)) {
            found += 1;
            say(&format!("{file}:{}: {}", number + 1, line.trim()));
        }
    }
    ensure!(read > 0, "no file was found to look at");
    ensure!(found == 0, "{found} lines hold what must not be there");
    Ok(())
}

/// The files that git knows, but for those that are deleted and not yet committed.
pub(crate) fn tracked(patterns: &[&str]) -> Result<Vec<String>> {
    let files = output(Command::new("git").current_dir(root()).args(["ls-files", "-z"]).args(patterns))?;
    let files = files.split_terminator('\0').filter(|file| root().join(file).exists());
    Ok(files.map(str::to_owned).collect())
}

fn shows_debug(line: &str) -> bool {
    line.contains(concat!("?", "}")) || line.contains(concat!("dbg", "!("))
}

fn is_forbidden(line: &str) -> bool {
    if line.trim() == CHILD {
        return false;
    }
    is_ignored_block(line) || FORBIDDEN.iter().any(|(start, end)| line.contains(&format!("{start}{end}")))
}

/// Whether a code block that is not compiled starts here, in Markdown or in a doc comment.
fn is_ignored_block(line: &str) -> bool {
    let line = line.trim_start_matches(|char: char| char.is_whitespace() || "/!*>".contains(char));
    let Some(info) = line.strip_prefix("```").or_else(|| line.strip_prefix("~~~")) else { return false };
    // `ignore` and `ignore-TARGET`, alone or in a list.
    info.split(|char: char| !char.is_alphanumeric()).any(|word| word == "ignore")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_lines_are_found() {
        assert!(shows_debug("format!(\"{error:?}\")") && shows_debug("{0:#?}") && !shows_debug("{error}"));
        assert!(!is_forbidden(CHILD) && is_forbidden(&CHILD.replace("child", "other")));
        for (start, end) in FORBIDDEN {
            assert!(is_forbidden(&format!("    {start}{end}")), "{start}{end}");
        }
        for info in ["ignore", "rust,ignore", "text, ignore", " ignore", "ignore-wasm32", "{.rust .ignore}"] {
            for (before, fence) in [("", "```"), ("    /// ", "```"), ("//! ", "~~~"), (" * ", "````")] {
                assert!(is_forbidden(&format!("{before}{fence}{info}")), "{before}{fence}{info}");
            }
        }
    }

    #[test]
    fn others_are_not() {
        for line in ["```", "```rust", "```no_run", "// we ignore it", "ignore", "```text ignored", "#[test]"]
        {
            assert!(!is_forbidden(line), "{line}");
        }
    }
}
