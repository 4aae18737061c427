use aws_smithy_types::error::ErrorMetadata;
use proptest::prelude::*;

use super::*;

fn explained(origin: Origin) -> Explained {
    let keys = aws_credential_types::Credentials::new("AKIA", "key", None, None, "test");
    let provider = SharedCredentialsProvider::new(keys);
    Explained { origin, provider, trace: Trace::default(), limit: Duration::from_secs(1) }
}

#[test]
fn throttled_sources_are_an_outage() {
    let explained = explained(Origin::Process { profile: "work".to_owned() });
    for code in ["ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"] {
        assert_eq!(explained.answered(code, "").cause, Cause::Outage, "{code}");
    }
}

proptest! {
    #[test]
    fn hostile_replies_stay_out(code in "(?s).{0,80}", message in "(?s).{0,200}", name in "(?s).{0,20}", which in 0..6) {
        let arn = "arn:aws:iam::123456789012:role/reader".to_owned();
        let origin = match which {
            0 => Origin::SignIn { profile: name.clone(), cache: Some(name.into()) },
            1 => Origin::Login { profile: name.clone(), cache: Some(name.into()) },
            2 => Origin::Role { arn, mfa: Some(name.clone()), profile: name },
            3 => Origin::WebIdentity { arn, token: "/no/such".to_owned(), setting: name },
            4 => Origin::Container { token: Some(name) },
            _ => Origin::Process { profile: name },
        };
        let metadata = ErrorMetadata::builder().code(&code).message(format!("s3cret {message}")).build();
        let explained = explained(origin);
        let file = explained.origin.file().unwrap_or(Path::new("/no/such"));
        for error in [
            explained.unreadable(file, &Unreadable::TooLong).unwrap(),
            explained.unreadable(file, &Unreadable::Slow(Duration::MAX)).unwrap(),
            explained.explain(&CredentialsError::provider_error(metadata)),
            explained.answered(&code, &format!("User: arn:{message} s3cret is not authorized to perform: {code}")),
        ] {
            let own = error.to_string();
            prop_assert!(!own.contains(char::is_control), "{own:?}");
            let error = unobtained("the profile provides none", &CredentialsError::provider_error(error));
            let text = error.to_string();
            prop_assert!(!text.contains(char::is_control), "{text:?}");
            prop_assert!(!text.contains("s3cret"), "{text:?}");
        }
    }
}
