//! The catalogue of events and spans, compared with the sources.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::{REFERENCE, part, read, rows};
use crate::source::tracked;

const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];
/// Stand-ins, which are not part of a program, and the suite, which is none either.
const LEFT_OUT: [&str; 2] = ["ksm-storage-emulator", "ksm-storage-testkit"];

/// Crate, level, `event` or `span`, message or name, fields.
type Entry = (String, String, &'static str, String, BTreeSet<String>);

pub(super) fn check(problems: &mut Vec<String>) -> Result<()> {
    let sources = tracked(&["crates/*/src/*.rs"])?;
    let mut made = BTreeSet::new();
    for file in sources.iter().filter(|file| !LEFT_OUT.iter().any(|part| file.contains(part))) {
        let name = file.split('/').nth(1).unwrap_or_default().replace('-', "_");
        made.extend(entries(&name, &read(file)?));
    }
    ensure!(!made.is_empty(), "no event was found in the sources");
    let mut listed = BTreeSet::new();
    for row in rows(part(&read(REFERENCE)?, "events")?)? {
        ensure!(
            row.len() == 6,
            "{REFERENCE}: an event's row has crate, level, sort, message, fields, meaning"
        );
        let text = |cell: &str| cell.replace('`', "");
        let sort = if row[2] == "span" { "span" } else { "event" };
        let fields = text(row[4]).split(", ").filter(|field| !field.is_empty()).map(str::to_owned).collect();
        listed.insert((text(row[0]), text(row[1]), sort, text(row[3]), fields));
    }
    for entry in made.difference(&listed) {
        problems.push(format!("{REFERENCE}: not in the catalogue: {}", shown(entry)));
    }
    for entry in listed.difference(&made) {
        problems.push(format!("{REFERENCE}: in no source: {}", shown(entry)));
    }
    Ok(())
}

fn shown((name, level, sort, message, fields): &Entry) -> String {
    let fields: Vec<_> = fields.iter().map(String::as_str).collect();
    format!("{name}, {level} {sort} `{message}` with {}", fields.join(", "))
}

/// Every use of a macro of `tracing` in `source`.
fn entries(name: &str, source: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    for level in LEVELS {
        for (sort, suffix) in [("event", ""), ("span", "_span")] {
            let call = format!("{level}{suffix}!(");
            for (at, _) in source.match_indices(&call) {
                let before = source[..at].chars().next_back();
                if before.is_none_or(|char| !char.is_alphanumeric() && char != '_') {
                    let (message, fields) = content(&source[at + call.len()..]);
                    found.push((name.to_owned(), level.to_owned(), sort, message, fields));
                }
            }
        }
    }
    found
}

/// The message and the fields in the arguments of a macro.
fn content(source: &str) -> (String, BTreeSet<String>) {
    let (texts, fields): (Vec<&str>, Vec<&str>) =
        arguments(source).into_iter().partition(|argument| argument.starts_with('"'));
    let name = |field: &str| {
        let name = field.split('=').next().unwrap_or_default();
        name.trim().trim_start_matches(['%', '?']).to_owned()
    };
    let message = texts.first().map_or("", |text| text.trim_matches('"'));
    (message.to_owned(), fields.into_iter().map(name).collect())
}

/// What stands between commas, up to the closing parenthesis.
fn arguments(source: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut start) = (0_u32, false, 0);
    let mut found = Vec::new();
    for (at, char) in source.char_indices() {
        match char {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => {
                found.push(source[start..at].trim());
                break;
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(source[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|argument| !argument.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_names_and_fields_are_read() {
        let source = r#"let span = debug_span!("load", location = %f(a, b), attempt);
            warn!(%location, ?elapsed, "gone: (what, now)"); my_warn!("no"); info!(
                a = x.map(|(b, c)| b == c),
                "two lines"
            );"#;
        let entry = |level: &str, sort, message: &str, fields: &[&str]| {
            let fields = fields.iter().map(|&field| field.to_owned()).collect();
            ("c".to_owned(), level.to_owned(), sort, message.to_owned(), fields)
        };
        let expected = [
            entry("debug", "span", "load", &["attempt", "location"]),
            entry("info", "event", "two lines", &["a"]),
            entry("warn", "event", "gone: (what, now)", &["elapsed", "location"]),
        ];
        assert_eq!(entries("c", source), expected);
    }
}
