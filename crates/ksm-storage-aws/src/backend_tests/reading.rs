//! Names under which a secret is read, and the confirmation of a version.

use super::*;

/// Expects exactly these reads of `AWSCURRENT` by name.
fn named(client: &mut MockSecretsClient, reads: Vec<(&'static str, Result<SecretVersion, CallError>)>) {
    let mut order = Sequence::new();
    for (name, answer) in reads {
        client
            .expect_get()
            .withf(move |secret, select| secret == name && *select == Select::Current)
            .once()
            .in_sequence(&mut order)
            .returning(move |_, _| answer.clone());
    }
}

#[tokio::test]
async fn bare_name_is_rarely_tried() {
    let denied = || Err(CallError::answered(400, "AccessDeniedException"));
    let found = || Ok(version("v1", &[CURRENT]));
    for (id, reads, kinds) in [
        // A name that may have a suffix, but is not the name of the secret that is found.
        (
            "ksm-config",
            vec![("ksm-config", Err(missing())), ("ksm", found())],
            vec![Some(ErrorKind::NotFound)],
        ),
        // The same secret under its ARN, which is known by then.
        (
            "ksm-aBcDeF",
            vec![("ksm-aBcDeF", denied()), ("ksm", found()), (ARN, Err(missing())), (ARN, denied())],
            vec![None, Some(ErrorKind::NotFound), Some(ErrorKind::AccessDenied)],
        ),
        (ARN, vec![(ARN, Err(missing()))], vec![Some(ErrorKind::NotFound)]),
        (ARN, vec![(ARN, denied())], vec![Some(ErrorKind::AccessDenied)]),
        // A word rather than a suffix, which a role may be denied to read.
        ("ksm-config", vec![("ksm-config", denied())], vec![Some(ErrorKind::AccessDenied)]),
        (
            "ksm-aBcDeF",
            vec![("ksm-aBcDeF", Err(CallError::answered(400, "DecryptionFailure")))],
            vec![Some(ErrorKind::AccessDenied)],
        ),
    ] {
        let context = format!("{id}: {reads:?}");
        let mut client = MockSecretsClient::new();
        named(&mut client, reads);
        let backend =
            AwsSecretBackend::new(Arc::new(client), id.parse().unwrap(), "us-east-1", Concurrency::Strict);
        for kind in kinds {
            let loaded = backend.load().await;
            let found = match &loaded {
                Ok(stored) => stored.payload().is_none().then_some(ErrorKind::NotFound),
                Err(error) => Some(error.kind()),
            };
            assert_eq!(found, kind, "{context}");
        }
    }
}

async fn confirmed(
    version: &str,
    reads: Vec<(Select, Result<SecretVersion, CallError>)>,
) -> Result<bool, ErrorKind> {
    let mut client = MockSecretsClient::new();
    expect_reads(&mut client, reads);
    let backend = backend(client, Concurrency::Optimistic);
    backend.confirm(&Version::new(version)).await.map_err(|error| error.kind())
}

#[tokio::test]
async fn label_confirms_a_version() {
    for (answer, expected) in [
        (Ok(version("v1", &["other", CURRENT])), Ok(true)),
        (Ok(version("v1", &[PREVIOUS])), Ok(false)),
        (Err(missing()), Ok(false)),
        (Err(CallError::answered(400, "AccessDeniedException")), Err(ErrorKind::AccessDenied)),
    ] {
        assert_eq!(confirmed("v1", vec![(id("v1"), answer)]).await, expected);
    }
}

#[tokio::test]
async fn absent_value_is_confirmed_by_slot() {
    let first = Version::new(NO_VALUE).slot(1);
    let first = first.as_str();
    let slot = |answer| (id(first), answer);
    let current = |answer| (Select::Current, answer);
    let found = || Ok(version(first, &[CURRENT]));
    for (reads, expected) in [
        (vec![slot(found())], false),
        (vec![slot(Err(missing())), current(Err(missing()))], true),
        (vec![slot(Err(missing())), current(found())], false),
    ] {
        let context = format!("{reads:?}");
        assert_eq!(confirmed(NO_VALUE, reads).await, Ok(expected), "{context}");
    }
}
