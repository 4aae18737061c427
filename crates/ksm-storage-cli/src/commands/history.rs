//! `history`: the versions that AWS keeps, and their writers. Reads no values.

use std::{
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use ksm_storage::{
    StorageBackend, Version,
    aws::{AwsSecretBackend, KeptVersion, Writer},
    shell_word,
};
use serde_json::{Value, json};

use crate::{
    cli::Global,
    connect::Found,
    failure::{Failure, Result},
    output::Output,
    storage,
};

pub(crate) async fn run(global: &Global, output: Output) -> Result<()> {
    let backend = backend(global).await?;
    let versions = backend.versions().await?;
    let location = backend.location();
    let mut text = format!("{}  {location}\n", output.bold("location"));
    for kept in &versions {
        let created = kept.created.map_or_else(|| "-".to_owned(), date);
        let labels: Vec<_> = kept.labels.iter().map(|label| shell_word(label)).collect();
        let _ = writeln!(
            text,
            "{created:<20}  {:<36}  {:<11}  {}",
            kept.version,
            labels.join(" "),
            describe(&kept.writer)
        );
    }
    if versions.is_empty() {
        text.push_str("no version: the secret has no value yet\n");
    }
    let versions: Vec<_> = versions.iter().map(to_json).collect();
    output.result(&json!({ "location": location.to_string(), "versions": versions }), &text)
}

/// The backend selected by the global options, if it keeps versions.
pub(super) async fn backend(global: &Global) -> Result<AwsSecretBackend> {
    let (url, _) = storage::url(global)?.source(&Found::default())?;
    let settings = url.aws().map_err(|error| {
        error.with_hint("only AWS Secrets Manager keeps earlier versions; elsewhere, `import` a backup")
    });
    settings?.open_backend().await.map_err(Failure::from)
}

fn describe(writer: &Writer) -> String {
    match writer {
        Writer::Project { base: Some(base) } => format!("this project, from {base}"),
        Writer::Project { base: None } => "this project, as the first value".to_owned(),
        Writer::Foreign => "foreign: another program".to_owned(),
        Writer::Unknown => "unknown: the version before it has expired".to_owned(),
    }
}

fn to_json(kept: &KeptVersion) -> Value {
    let (writer, base) = match &kept.writer {
        Writer::Project { base } => ("project", base.as_ref()),
        Writer::Foreign => ("foreign", None),
        Writer::Unknown => ("unknown", None),
    };
    json!({
        "version": kept.version.as_str(),
        "created": kept.created.map(date),
        "labels": kept.labels,
        "writer": writer,
        "base": base.map(Version::as_str),
    })
}

/// Formats a time as RFC 3339, in UTC, to the second.
fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    // The loop is short for dates of AWS; those of another service might be far in the future.
    while year < 10_000 && days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (day, hour, minute) = (days + 1, second / 3600, second / 60 % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_698_645, "2026-11-26T13:10:45Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(date(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
        date(UNIX_EPOCH + Duration::from_secs(u64::MAX >> 1));
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
    }
}
