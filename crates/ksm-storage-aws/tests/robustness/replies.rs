//! Service replies with values that do not fit in a header, and with invalid names.

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use crate::World;

const OK: &str = "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 60";

/// Answers each request with this head, and a body chosen by its first line.
fn serve(head: &'static str, answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 16 << 10];
            let length = stream.read(&mut request).unwrap_or_default();
            let body = answer(String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or_default());
            let head = format!("{head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    url
}

const BAD: [&str; 6] = ["", "a\\r\\nx: y", "a\\u0000", "a b", "\\u00fc", "a\\u2028"];

fn credentials(part: usize, value: &str) -> String {
    let mut parts = ["AKIA", "s3cret", "token"];
    parts[part] = value;
    let [id, key, token] = parts;
    format!(
        r#"{{"Code":"Success","AccessKeyId":"{id}","SecretAccessKey":"{key}","Token":"{token}","Expiration":"2999-01-01T00:00:00Z","LastUpdated":"2020-01-01T00:00:00Z"}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_credentials_are_never_used() {
    let world = World::new().await;
    for (part, value) in (0..3).flat_map(|part| BAD.map(|value| (part, value))) {
        let body = credentials(part, value);
        let metadata = serve(OK, move |line| {
            let path = line.split(' ').nth(1).unwrap_or_default();
            match path {
                "/latest/api/token" => "token".to_owned(),
                path if path.ends_with("/security-credentials/") => "ksm".to_owned(),
                path if path.ends_with("/region") => "us-east-1".to_owned(),
                _ => body.clone(),
            }
        });
        let container = serve(OK, move |_| credentials(part, value));
        let sts = serve(OK, move |_| {
            let mut parts = ["AKIA", "s3cret", "token"];
            let value =
                value.replace("\\r\\n", "&#13;&#10;").replace("\\u00fc", "&#252;").replace("\\u", "\u{2028}");
            parts[part] = &value;
            format!(
                "<R><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}\
                 </SecretAccessKey><SessionToken>{}</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>\
                 </Credentials></AssumeRoleWithWebIdentityResult></R>",
                parts[0], parts[1], parts[2]
            )
        });
        let web = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", world.path("token")),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader".to_owned()),
            ("AWS_ENDPOINT_URL_STS", sts),
        ];
        let service = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", world.server.url());
        for (mode, variables) in [
            ("ec2", vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata)]),
            ("default", vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{container}/c"))]),
            ("default", web.to_vec()),
        ] {
            let found = world.run(mode, variables.into_iter().chain([service.clone()]), None).await.remove(0);
            let clean = !found.text.contains(char::is_control) && !found.text.contains("s3cret");
            assert!(found.kind.as_deref() == Some("credentials") && clean, "{part}, {value}: {found:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn role_names_and_regions_are_words() {
    let world = World::new().await;
    let service = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", world.server.url());
    for (role, region, kind) in [
        ("ksm\n", "us-east-1\n", None),
        ("ksm\nother\n", "us-east-1", None),
        ("two words", "us-east-1", Some("credentials")),
        ("r\u{fc}", "us-east-1", Some("credentials")),
        ("../../x", "us-east-1", Some("credentials")),
        ("", "us-east-1", Some("credentials")),
        ("ksm", "us\r\neast", Some("invalid_argument")),
        ("ksm", "", Some("invalid_argument")),
        ("ksm", "us-east-1 us-east-2", Some("invalid_argument")),
    ] {
        let metadata = serve(OK, move |line| {
            let path = line.split(' ').nth(1).unwrap_or_default();
            match path {
                "/latest/api/token" => "token".to_owned(),
                path if path.ends_with("/security-credentials/") => role.to_owned(),
                path if path.contains("/security-credentials/") => credentials(0, "AKIA"),
                path if path.ends_with("/region") => region.to_owned(),
                _ => String::new(),
            }
        });
        let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata), service.clone()];
        let found = world.run("ec2", variables, None).await.remove(0);
        assert_eq!(found.kind.as_deref(), kind, "{role}, {region}: {found:?}");
        assert!(!found.text.contains(char::is_control), "{found:?}");
    }
}

/// The SDK adds them to the time.
#[tokio::test(flavor = "multi_thread")]
async fn absurd_times_do_not_panic() {
    let world = World::new().await;
    let limit = ("CHILD_DEADLINE", "10000".to_owned());
    for date in ["Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "tomorrow"] {
        let head = format!("HTTP/1.1 503 Service Unavailable\r\ndate: {date}").leak();
        let server = serve(head, |_| String::new());
        let keys = [("AWS_ACCESS_KEY_ID", "AKIA".to_owned()), ("AWS_SECRET_ACCESS_KEY", "key".to_owned())];
        let variables = keys.into_iter().chain([("AWS_ENDPOINT_URL", server), limit.clone()]);
        let found = world.run("default", variables, None).await.remove(0);
        assert_eq!(found.kind.as_deref(), Some("unavailable"), "{date}: {found:?}");
    }
    let head = "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 18446744073709551615";
    let metadata = serve(head, |line| match line.split(' ').nth(1).unwrap_or_default() {
        "/latest/api/token" => "token".to_owned(),
        path if path.ends_with("/security-credentials/") => "ksm".to_owned(),
        path if path.ends_with("/region") => "us-east-1".to_owned(),
        _ => credentials(0, "AKIA"),
    });
    let service = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", world.server.url());
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata), service];
    let found = world.run("ec2", variables, None).await.remove(0);
    assert!(found.is_ok(), "{found:?}");
}

/// Another try may help, unlike after a refusal.
#[tokio::test(flavor = "multi_thread")]
async fn outages_of_sources_are_retryable() {
    let world = World::new().await;
    let service = || ("AWS_ENDPOINT_URL_SECRETS_MANAGER", world.server.url());
    let web = || {
        [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", world.path("token")),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader".to_owned()),
            service(),
        ]
    };
    for (head, body, words) in [
        ("HTTP/1.1 503 Service Unavailable", "<html>", "(HTTP 503)"),
        ("HTTP/1.1 500 Internal Server Error", "{}", "(HTTP 500)"),
        ("HTTP/1.1 429 Too Many Requests", "", "(HTTP 429)"),
        (
            "HTTP/1.1 400 Bad Request",
            "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>",
            "(Throttling)",
        ),
    ] {
        let source = serve(head, |_| body.to_owned());
        let sts = web().into_iter().chain([("AWS_ENDPOINT_URL_STS", source.clone())]).collect();
        let container = vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{source}/c")), service()];
        for variables in [sts, container].into_iter().take(if body.contains("Throttling") { 1 } else { 2 }) {
            let found = world.run("default", variables, None).await.remove(0);
            assert_eq!(found.kind.as_deref(), Some("unavailable"), "{found:?}");
            let expected = found.retryable && found.fate == "not_applied" && found.text.contains(words);
            assert!(expected && !found.text.contains("Rate exceeded"), "{found:?}");
        }
    }
}
