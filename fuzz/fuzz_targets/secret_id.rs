//! Arbitrary secret names: a valid one keeps its text, and its parts come from that text. An invalid one is quoted in
//! shortened form at most.
#![no_main]

use ksm_storage_aws::SecretId;
use ksm_storage_core::ErrorKind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match text.parse::<SecretId>() {
    Ok(id) => accepted(&id, text),
    Err(error) => {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let text = error.to_string();
        assert!(!text.contains(char::is_control), "a control character reaches the log: {text:?}");
        // Two quotations of 80 characters, each of which may be escaped as ten, and the message itself.
        assert!(text.len() < 2_500, "{} bytes are quoted", text.len());
    }
});

fn accepted(id: &SecretId, text: &str) {
    assert_eq!(id.to_string(), text);
    assert!(id.as_str().ends_with(id.name()) && text.ends_with(id.as_str()));
    assert!(!id.name().is_empty() && text.ends_with(id.name()));
    assert!(id.name().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte)));
    let region = id.region().map(ToString::to_string);
    match &region {
        Some(region) if id.is_arn() => {
            let parts: Vec<_> = text.splitn(7, ':').collect();
            assert!(parts[0] == "arn" && !parts[1].is_empty() && parts[2] == "secretsmanager");
            assert_eq!((parts[3], parts[5], parts[6]), (region.as_str(), "secret", id.name()));
            assert!(parts[4].len() == 12 && parts[4].bytes().all(|byte| byte.is_ascii_digit()));
        }
        Some(region) => assert_eq!(text, format!("aws-sm://{region}/{}", id.name())),
        None => assert!(!id.is_arn() && id.name() == text),
    }
    // The same secret in another partition has the same parts.
    if let (true, [_, _, rest]) = (id.is_arn(), &*text.splitn(3, ':').collect::<Vec<_>>()) {
        let other: SecretId = format!("arn:aws-moon:{rest}").parse().expect("any partition");
        assert_eq!((other.name(), other.region()), (id.name(), id.region()));
    }
}
