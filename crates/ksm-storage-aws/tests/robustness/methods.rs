//! Methods of the builder.

use crate::{Bad, Expected, World, bad_values, check_outcome, child::Case};

#[tokio::test(flavor = "multi_thread")]
async fn every_method_fails_typed_or_works() {
    let world = World::new().await;
    let url = world.server.url();
    let mut problems = Vec::new();
    // Mode, method, good value, and the name by which an error refers to the setting.
    for (mode, method, good, name) in [
        ("custom", "key", "other", "secret ID"),
        ("custom", "access_key_id", "AKIA", "from_custom_config"),
        ("custom", "secret_access_key", "key", "from_custom_config"),
        ("custom", "custom region", "us-east-1", "from_custom_config"),
        ("custom", "region", "us-east-1", "region"),
        ("custom", "endpoint_url", &*url, "endpoint_url"),
        ("custom", "session_token", "token", "session_token"),
        ("custom", "kms_key_id", "alias/x", "kms_key_id"),
        ("profile", "profile", "work", "profile"),
        ("sdk", "sdk region", "us-east-1", "SDK configuration"),
        ("sdk", "sdk endpoint", &*url, "SDK configuration"),
        ("sdk", "sdk id", "AKIA", "access key ID"),
        ("sdk", "sdk key", "key", "secret access key"),
        ("sdk", "sdk token", "token", "session token"),
    ] {
        let mut values = bad_values(good, 1 << 20);
        values.push(Bad { name: "NUL", value: format!("{good}\0").into(), expected: Expected::GoodOrNamed });
        values.push(Bad { name: "NUL alone", value: "\0".into(), expected: Expected::GoodOrNamed });
        // These are not trimmed, since the caller can pass clean values.
        let exact = matches!(method, "key" | "profile" | "sdk id" | "sdk key" | "sdk token");
        for bad in values.iter_mut().filter(|bad| exact && bad.name != "empty") {
            bad.expected = Expected::GoodOrNamed;
        }
        let case = |value: &str| Case { config: None, method: Some((method.to_owned(), value.to_owned())) };
        let bad = values.iter().map(|bad| case(bad.value.to_str().unwrap()));
        let cases: Vec<_> = [case(""), case(good)].into_iter().chain(bad).collect();
        let file = world.file("cases", &Case::write(&cases));
        let keys = "aws_access_key_id = AKIA\naws_secret_access_key = key\n";
        world.file(
            "config",
            &format!("[default]\nendpoint_url = {url}\n[profile work]\nregion = us-east-1\n{keys}"),
        );
        let variables = [("AWS_ENDPOINT_URL", &*url), ("CHILD_URL", &*url)];
        let found = world.run(mode, variables, Some(&file)).await;
        assert_eq!(found.len(), cases.len());
        assert!(found[1].is_ok(), "{method}: {:?}", found[1]);
        for (bad, found_one) in values.iter().zip(&found[2..]) {
            problems.extend(check_outcome(name, bad, found_one, &found[0], &found[1]));
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// Numbers at the limits of their types.
#[tokio::test(flavor = "multi_thread")]
async fn extreme_numbers_do_not_panic() {
    let world = World::new().await;
    let url = world.server.url();
    let cases: Vec<_> = [
        ("max_attempts", "4294967295", true),
        ("write_attempts", "4294967295", true),
        ("attempt_timeout", "max", true),
        ("attempt_timeout", "1", false),
        ("deadline", "max", true),
        ("deadline", "0", false),
        ("deadline", "1", false),
    ]
    .into();
    let case = |(method, value, _): &(&str, &str, bool)| Case {
        config: None,
        method: Some(((*method).to_owned(), (*value).to_owned())),
    };
    for mode in ["custom", "sdk", "default"] {
        let file = world.file("cases", &Case::write(&cases.iter().map(case).collect::<Vec<_>>()));
        let variables = [
            ("AWS_ENDPOINT_URL", &*url),
            ("CHILD_URL", &*url),
            ("AWS_ACCESS_KEY_ID", "AKIA"),
            ("AWS_SECRET_ACCESS_KEY", "key"),
        ];
        let found = world.run(mode, variables, Some(&file)).await;
        for ((method, value, works), found) in cases.iter().zip(&found) {
            assert_eq!(found.is_ok(), *works, "{mode}, {method} {value}: {found:?}");
            assert!(
                found.is_ok() || found.kind.as_deref() == Some("timeout"),
                "{mode}, {method} {value}: {found:?}"
            );
        }
    }
}
