use super::*;
use crate::{Error, ErrorKind, Location, Outcome};

#[test]
fn location_and_version_display_as_given() {
    let location = Location::new("memory", "7");
    assert_eq!((location.kind(), location.address()), ("memory", "7"));
    assert_eq!(location.to_string(), "memory://7");
    let version = Version::new("v7");
    assert_eq!((version.as_str(), version.to_string()), ("v7", "v7".to_owned()));
    assert_eq!(format!("{version:>4}|{version:?}"), "  v7|Version(v7)");
}

#[test]
fn absence_becomes_the_error_unchanged() {
    let absence = Absence::new("no such secret").with_hint("create it");
    for (absence, message) in [
        (absence.clone(), "no such secret"),
        (absence.clone().with_code("Gone"), "no such secret (Gone)"),
        (absence.clone().with_request_id("7"), "no such secret (request 7)"),
        (absence.with_code("Gone").with_request_id("7"), "no such secret (Gone, request 7)"),
    ] {
        let error = Error::from(absence);
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::NotApplied));
        assert_eq!(error.to_string(), format!("not found: {message}; create it"));
    }
}

#[test]
fn payload_debug_shows_only_length() {
    for payload in [Payload::from("secret"), "secret".to_owned().into(), b"secret".to_vec().into()] {
        assert_eq!(payload.as_bytes(), b"secret");
        assert_eq!((payload.len(), payload.is_empty()), (6, false));
        assert_eq!(format!("{payload:?}"), "Payload(6 bytes)");
    }
    assert_eq!((Payload::from("").len(), Payload::from("").is_empty()), (0, true));
}
