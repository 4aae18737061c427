use ksm_storage_core::Location;
use proptest::prelude::*;

use super::*;

fn refused(url: &str) -> Error {
    url.parse::<StorageUrl>().and_then(|url| Schemes::default().source(&url)).unwrap_err()
}

fn error(url: &str) -> String {
    refused(url).to_string()
}

/// Percent-encodes every byte.
fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |encoded, byte| format!("{encoded}%{byte:02x}"))
}

#[test]
fn urls_have_scheme_address_and_parameters() {
    let url: StorageUrl = "aws-sm:a/b@c+d=e?profile=My%20Mac+1&mode=profile".parse().unwrap();
    assert_eq!((url.scheme(), url.address()), ("aws-sm", "a/b@c+d=e"));
    let parameters = [("profile", "My Mac+1"), ("mode", "profile")];
    assert_eq!(url.parameters, parameters.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn malformed_urls_are_rejected() {
    for url in [
        "",
        " ",
        ":",
        "ksm-config",
        "://x",
        "AWS-SM:x",
        "aws sm:x",
        " aws-sm:x",
        "1:x",
        "é:x",
        "aws-sm",
        "env:",
        "env:A=B",
        "file:",
        "file://",
        "file://host/path",
        "file:%",
        "file:%zz",
        "file:a%0",
        "memory:x",
        "env:A?b=c",
        "env:A?",
        "env:A?read_only",
        "env:A?read_only=1",
        "env:A?read_only=true&read_only=true",
        "env:A?=x",
        "env:A?a b=c",
        "env:A#x",
        "env:A?read_only=true#x",
        "env:A?read_only=true&",
        "env:A?read_only=%ff",
        "env:A?read_only=true?x",
        "other:x",
        "aws-sm:",
        "aws-sm:x?mode=other",
        "aws-sm:x?mode=profile",
        "aws-sm:x?mode=ec2&profile=p",
        "aws-sm:x?concurrency=",
        "aws-sm:x?access_key_id=AKIA&secret_access_key=s",
        "aws-sm:x?Mode=ec2",
    ] {
        let (error, text) = (refused(url), error(url));
        assert!(!text.contains('\n') && text.len() < 400, "{url:?}: {text}");
        assert!(error.hint().is_some(), "{url:?} without a remedy: {text}");
    }
}

#[test]
fn invalid_url_is_not_quoted() {
    for secret in [
        "US:Zm9vYmFy",
        "eyJob3N0bmFtZSI6InMzY3IzdCJ9",
        r#"{"privateKey":"Zm9vYmFy"}"#,
        "env:A?Zm9vYmFy",
        "env:A?read_only=Zm9vYmFy",
        "zm9vymfyzm9vymfyzm9vymfy:x",
        "zm9vymfyzm9vymfyzm9vymfy:x#",
        "zm9vymfyzm9vymfyzm9vymfy:x?y",
        "zm9vymfyzm9vymfyzm9vymfy:x?y=1&y=1",
        "us:Zm9vYmFy",
        "aws-sm:US:Zm9vYmFy",
        "aws-sm:{\"privateKey\":\"Zm9vYmFy\"}",
    ] {
        let text = error(secret);
        let quoted = ["Zm9vYmFy", "eyJob", "zm9v"].into_iter().find(|secret| text.contains(secret));
        assert_eq!(quoted, None, "{text}");
    }
    let url: StorageUrl = "aws-sm:Zm9vYmFy?profile=Zm9vYmFy".parse().unwrap();
    assert!(!format!("{url:?}").contains("Zm9v"));
}

#[test]
fn unknown_schemes_are_invalid() {
    for (url, words) in [
        ("other:x", "no storage has the scheme `other`; known schemes: "),
        ("aws-secretsmanager:///x", "no storage has the scheme `aws-secretsmanager`; known schemes: "),
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:x-AbCdEf", "write `aws-sm:` in front of it"),
        ("\"aws-sm:x\"", "remove them: env files"),
        #[cfg(feature = "file")]
        ("file:~/ksm.json", "begins with ~, which only a shell replaces; write the whole path"),
    ] {
        let (refusal, text) = (refused(url), error(url));
        assert_eq!(refusal.kind(), ErrorKind::InvalidArgument, "{text}");
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn missing_features_are_named() {
    let mut schemes = Schemes::default();
    schemes.sources.clear();
    let url = "aws-sm:x".parse().unwrap();
    let error = schemes.source(&url).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("enable the feature `aws` of ksm-storage"), "{error}");
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn read_only_parameter_refuses_writes() {
    use ksm_storage_core::ConfigKey::Hostname;

    let storage = open("memory:?read_only=true").await.unwrap();
    let error = storage.set(Hostname, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
    let text = error.to_string();
    assert!(text.contains("read_only=true") && text.contains("omit that parameter to write"), "{text}");
    let storage = open("memory:?read_only=false").await.unwrap();
    storage.set(Hostname, "x").await.unwrap();
    assert_eq!(storage.get(Hostname).unwrap().expose_secret(), "x");
}

#[cfg(feature = "file")]
#[tokio::test]
async fn file_urls_are_percent_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b?#%é.json");
    ConfigStorage::open_or_create(ksm_storage_file::FileBackend::new(&path)).await.unwrap();
    let encoded = format!("{}/a%20b%3f%23%25%C3%A9.json", folder.path().display());
    for url in [format!("file:{encoded}"), format!("file://{encoded}")] {
        open(&url).await.unwrap();
    }
}

#[cfg(feature = "aws-minimal")]
proptest! {
    /// Every name is passed on unchanged.
    #[test]
    fn names_of_secrets_are_not_changed(name in "[a-zA-Z0-9/_+=.@-]{1,100}", region in "[a-z]{2}-[a-z]{4,9}-[1-9]") {
        let by_region = format!("//{region}/{name}");
        let arn = format!("arn:aws-cn:secretsmanager:{region}:123456789012:secret:{name}");
        for address in [&name, &by_region, &arn] {
            prop_assume!(address == &by_region || !address.starts_with("//"));
            let url: StorageUrl = format!("aws-sm:{address}?concurrency=strict").parse().unwrap();
            prop_assert_eq!(url.address(), address);
            let source = Schemes::default().source(&url).unwrap();
            // A builder's `Debug` shows the parsed ID.
            let shown = format!("{source:?}");
            prop_assert!(shown.contains(&format!("{name:?}")) || shown.contains(&format!("{arn:?}")), "{}", shown);
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_rejected(text in "\\PC{0,60}", scheme in "(aws-sm|file|env|memory|x)", query in "\\PC{0,30}") {
        for url in [text.clone(), format!("{scheme}:{text}"), format!("{scheme}:{text}?{query}")] {
            if let Err(error) = url.parse::<StorageUrl>().and_then(|url| Schemes::default().source(&url)) {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }

    #[test]
    fn values_are_percent_decoded(value in "\\PC{0,20}") {
        let encoded = encode(value.as_bytes());
        let url: StorageUrl = format!("x:y?key={encoded}").parse().unwrap();
        prop_assert_eq!(&url.parameters[0].1, &value);
    }
}

#[test]
fn ambiguous_variable_names_are_rejected() {
    for url in ["env:A\nB", "env:A B", "env:\u{e9}", "env:A\\B", "env:A\u{7f}"] {
        assert!(error(url).contains("does not name a variable"), "{url:?}");
    }
}

#[cfg(feature = "aws-minimal")]
#[test]
fn fallback_regions_are_replicas() {
    for (url, number) in [
        ("aws-sm:ksm-config", 0),
        ("aws-sm:ksm-config?fallback=", 0),
        ("aws-sm:ksm-config?fallback=us-west-2", 1),
        ("aws-sm:ksm-config?fallback=us-west-2,eu-west-1&read_only=true", 2),
    ] {
        let url: StorageUrl = url.parse().unwrap();
        assert_eq!(Schemes::default().source(&url).unwrap().replicas().len(), number, "{url:?}");
        assert_eq!(url.replicas().len(), number, "{url:?}");
        let dynamic: Arc<dyn Connect> = Arc::new(url);
        assert_eq!(Connect::replicas(&dynamic).len(), number);
    }
    assert!(error("env:X?fallback=us-west-2").contains("unknown parameter `fallback`"));
}

/// The location of a URL, determined without reading or writing.
async fn location(url: &str) -> Result<Location> {
    let source = Schemes::default().source(&url.parse()?)?;
    Ok(source.connect(&OpenOptions::default()).await?.location())
}

proptest! {
    /// Displayed locations lead back to the same place.
    #[test]
    fn displayed_locations_can_be_opened(name in "[!-<>@-\\[\\]-~]{1,20}", path in proptest::collection::vec(1_u8..=255, 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut urls = Vec::new();
        if !name.contains('#') {
            urls.push(format!("env:{name}"));
        }
        if cfg!(all(feature = "file", unix)) {
            let encoded = encode(&path);
            urls.extend([format!("file:{encoded}"), format!("file:///{encoded}")]);
        }
        for url in urls {
            let first = runtime.block_on(location(&url)).unwrap();
            let shown = first.to_string();
            prop_assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()), "{}", shown);
            let second = runtime.block_on(location(&shown)).unwrap();
            prop_assert_eq!(&first, &second, "{}", url);
            prop_assert!(!url.starts_with("env:") || shown == url);
        }
    }
}
