//! The parts of committed documents that are made from results.

use std::{fs, io::ErrorKind, path::PathBuf};

use serde_json::Value;

/// What is done with a part: written, or compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    Check,
}

/// Puts `text` between the marks of the part `name` in the document, or checks that it stands there.
pub(crate) fn put(mode: Mode, document: &str, name: &str, text: &str) -> Result<(), String> {
    let path = root().join(document);
    let old = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let new = replaced(&old, name, text).ok_or_else(|| format!("{document} has no part {name}"))?;
    match mode {
        Mode::Check if new == old => Ok(()),
        Mode::Check => Err(stale(name, document)),
        Mode::Write => fs::write(&path, new).map_err(|error| format!("{}: {error}", path.display())),
    }
}

/// Puts `value` under `name` into the report in JSON, or checks that it stands there.
pub(crate) fn put_json(mode: Mode, name: &str, value: Value) -> Result<(), String> {
    const REPORT: &str = "docs/conformance.json";
    let path = root().join(REPORT);
    let describe = |error: &dyn std::fmt::Display| format!("{REPORT}: {error}");
    let old = match fs::read(&path) {
        Ok(old) => serde_json::from_slice(&old).map_err(|error| describe(&error))?,
        Err(error) if error.kind() == ErrorKind::NotFound && mode == Mode::Write => Value::Null,
        Err(error) => return Err(describe(&error)),
    };
    match mode {
        Mode::Check if old[name] == value => Ok(()),
        Mode::Check => Err(stale(name, REPORT)),
        Mode::Write => {
            let mut new = old;
            new[name] = value;
            fs::write(&path, format!("{new:#}\n")).map_err(|error| describe(&error))
        }
    }
}

fn stale(name: &str, document: &str) -> String {
    format!(
        "the part {name} of {document} is stale: run `cargo xtask conformance` with the same flags and --report in place \
         of --check-report, and look at what changes"
    )
}

fn root() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), ".."].iter().collect()
}

fn replaced(document: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{}\n{end}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let document = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n";
        let expected = "a\n<!-- begin x -->\nnew\n<!-- end x -->\nb\n";
        assert_eq!(replaced(document, "x", "new\n").as_deref(), Some(expected));
        assert_eq!(replaced(expected, "x", "new\n").as_deref(), Some(expected));
        assert_eq!(replaced(document, "y", "new"), None);
    }
}
