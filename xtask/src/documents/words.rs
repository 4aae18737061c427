//! The words by which the runbook is entered, compared with those that errors show.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::{CORE_ERRORS, KEEPER_ERRORS, OPERATIONS, codes, part, read, rows};

pub(super) fn check(problems: &mut Vec<String>) -> Result<()> {
    let operations = read(OPERATIONS)?;
    let source = read(CORE_ERRORS)?;
    problems.extend(differences(&source, part(&operations, "words")?)?);
    let source = read(KEEPER_ERRORS)?;
    problems.extend(foreign(&source, part(&operations, "keeper kinds")?)?);
    Ok(())
}

/// Every kind has its words in the table, and every row is what `describe` says.
fn differences(source: &str, table: &str) -> Result<Vec<String>> {
    let said = described(source).with_context(|| format!("{CORE_ERRORS} describes no kind"))?;
    ensure!(!said.is_empty(), "{CORE_ERRORS} describes no kind");
    let mut listed = BTreeSet::new();
    let mut problems = Vec::new();
    for row in rows(table)? {
        let [words, kind] = row[..] else {
            problems.push(format!("{OPERATIONS}: the row of {} has not two cells", row.join(", ")));
            continue;
        };
        if !listed.insert((quoted(kind), quoted(words))) {
            problems.push(format!("{OPERATIONS}: {words} is there twice"));
        }
    }
    for (kind, words) in said.symmetric_difference(&listed) {
        problems.push(format!("{OPERATIONS}: `{words}` for {kind} is not in both this and {CORE_ERRORS}"));
    }
    Ok(problems)
}

/// Kinds, and the words that `describe` has for them.
fn described(source: &str) -> Option<BTreeSet<(&str, &str)>> {
    let (_, rest) = source.split_once("fn describe(self)")?;
    let (body, _) = rest.split_once("\n    }\n")?;
    let arms = body.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""));
    Some(arms.filter_map(|(kind, words)| Some((kind, words.strip_suffix("\",")?))).collect())
}

/// Rows with words that no text in `source` begins with.
fn foreign(source: &str, table: &str) -> Result<Vec<String>> {
    let is_said = |words: &str| !words.is_empty() && source.contains(&format!("\"{words}"));
    let words = rows(table)?.into_iter().map(|row| quoted(row.get(1).copied().unwrap_or_default()));
    let told = |words| format!("{OPERATIONS}: no text in {KEEPER_ERRORS} begins with `{words}`");
    Ok(words.filter(|words| !is_said(words)).map(told).collect())
}

/// The first code in a cell.
fn quoted(cell: &str) -> &str {
    codes(cell).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
    fn describe(self) -> &'static str {
        match self {
            Self::One => \"one thing\",
            Self::Two => \"two\",
        }
    }
    fn other(self) -> &'static str {
        match self {
            Self::Three => \"three\",
        }
    }
";

    fn table(rows: &[&str]) -> String {
        format!("| says | kind |\n|---|---|\n{}\n", rows.join("\n"))
    }

    #[test]
    fn a_row_that_is_missing_or_too_many_is_a_problem() {
        let (one, two) = ("| `one thing` | [`One`](#one) |", "| `two` | [`Two`](#two) |");
        let found = |rows: &[&str]| differences(SOURCE, &table(rows)).unwrap();
        assert!(found(&[one, two]).is_empty());
        assert!(found(&[one])[0].contains("`two` for Two"));
        assert!(found(&[one, two, "| `three` | `Three` |"])[0].contains("`three` for Three"));
        assert_eq!(found(&["| `one` | `One` |", two]).len(), 2);
        assert_eq!(found(&[one, two, two]).len(), 1);
        assert_eq!(found(&[one, two, "| `two` |"]).len(), 1);
        assert!(differences("fn describe(self) {\n    }\n", &table(&[one])).is_err());
    }

    #[test]
    fn words_of_keeper_are_the_beginning_of_a_text() {
        let source = "One => \"one thing\", Two => format!(\"two {}\", 2)";
        let found = |rows: &[&str]| foreign(source, &table(rows)).unwrap();
        assert!(found(&["| `One` | `one thing` |", "| `Two` | `two` |"]).is_empty());
        assert_eq!(found(&["| `One` | `thing` |", "| `Two` | |"]).len(), 2);
    }
}
