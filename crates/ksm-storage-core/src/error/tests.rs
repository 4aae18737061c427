use std::fmt;

use super::*;

#[test]
fn display_has_all_parts() {
    let error = Error::new(ErrorKind::Timeout, "no answer within 15 s")
        .decorate(Operation::Set, Some(Location::new("memory", "1")))
        .with_hint("try again");
    assert_eq!(
        error.to_string(),
        "set on memory://1: timed out: no answer within 15 s; whether the write took effect is not known; try again"
    );
}

#[test]
fn read_errors_omit_the_outcome() {
    let error = Error::new(ErrorKind::NotFound, "no such secret").decorate(Operation::Open, None);
    assert_eq!(error.to_string(), "open: not found: no such secret");
    let outcome = |operation| Error::new(ErrorKind::Runtime, "gone").decorate(operation, None).outcome();
    assert_eq!([Operation::Open, Operation::Refresh].map(outcome), [Outcome::NotApplied; 2]);
    assert_eq!([Operation::OpenOrCreate, Operation::Set].map(outcome), [Outcome::Unknown; 2]);
}

#[test]
fn main_prints_the_line() {
    let error = Error::new(ErrorKind::Timeout, "no answer").with_hint("try again").with_source(fmt::Error);
    assert_eq!(format!("{error:?}"), format!("{error}; caused by: {}", fmt::Error));
    assert!(format!("{error:#?}").starts_with("Error {\n    kind: Timeout,\n"));
}

#[test]
fn every_text_is_one_line() {
    #[derive(Debug)]
    struct Lines;
    impl fmt::Display for Lines {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("source\n[ERROR] forged")
        }
    }
    impl error::Error for Lines {}

    let error = Error::new(ErrorKind::Unavailable, "a\r\nb\u{2028}")
        .with_hint("run: x $'1\\n2'\u{1b}[0m\n")
        .with_source(Lines);
    let line = r"unavailable: a\r\nb\u{2028}; run: x $'1\n2'\u{1b}[0m\n";
    assert_eq!(error.to_string(), line);
    assert_eq!(format!("{error:?}"), format!(r"{line}; caused by: source\n[ERROR] forged"));
}

#[test]
fn debug_shows_sources_by_their_display() {
    #[derive(Debug)]
    #[expect(dead_code, reason = "only its Debug would show it")]
    struct Leaky(&'static str);
    impl fmt::Display for Leaky {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("clean")
        }
    }
    impl error::Error for Leaky {}

    let error = Error::new(ErrorKind::Unavailable, "down").with_source(Leaky("s3cret"));
    let debug = format!("{error:?}");
    assert!(debug.contains("clean") && !debug.contains("s3cret"), "{debug}");
}

#[test]
fn the_outcome_is_unknown_unless_stated() {
    assert_eq!(Error::new(ErrorKind::Unavailable, "down").outcome(), Outcome::Unknown);
    assert_eq!(Error::refused("not now").outcome(), Outcome::NotApplied);
}

#[test]
fn kinds_tell_retryability() {
    use ErrorKind::{AccessDenied, Conflict, Displaced, QuotaExceeded, Throttled, Timeout, Unavailable};
    for (kind, retryable) in [
        (Conflict, true),
        (Throttled, true),
        (Timeout, true),
        (Unavailable, true),
        (AccessDenied, false),
        (QuotaExceeded, false),
        (Displaced, false),
    ] {
        assert_eq!(Error::new(kind, "why").is_retryable(), retryable, "{kind:?}");
    }
    let of = |operation| Error::new(Conflict, "why").decorate(operation, None);
    assert!(of(Operation::Set).is_retryable() && !of(Operation::Save).is_retryable());
}

#[test]
fn error_returns_its_parts() {
    let bare = Error::new(ErrorKind::Displaced, "why");
    assert!(bare.operation().is_none() && bare.location().is_none() && bare.displaced().is_none());
    assert!(error::Error::source(&bare).is_none());
    let (place, version) = (Location::new("memory", "1"), Version::new("v7"));
    let error = bare
        .with_displaced(version.clone())
        .decorate(Operation::Update, Some(place.clone()))
        .decorate(Operation::Update, Some(Location::new("memory", "2")))
        .with_source(fmt::Error);
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Displaced, Some(Operation::Update)));
    assert_eq!((error.location(), error.displaced()), (Some(&place), Some(&version)));
    assert_eq!(error::Error::source(&error).unwrap().to_string(), fmt::Error.to_string());
}

#[test]
fn errors_cross_threads() {
    fn assert_send_sync<T: Send + Sync + 'static>() {}
    assert_send_sync::<Error>();
}
