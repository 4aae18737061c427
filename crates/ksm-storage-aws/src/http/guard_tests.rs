use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aws_config::BehaviorVersion;
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_runtime_api::client::{http::http_client_fn, result::ConnectorError};
use aws_types::{os_shim_internal::Env, region::Region};

use super::*;
use crate::{describe::invalid_setting, environment::files_with};

/// A client that counts the requests it would send.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<AtomicUsize>);

impl HttpConnector for Counting {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        self.0.fetch_add(1, Ordering::Relaxed);
        HttpConnectorFuture::ready(Err(ConnectorError::io("gone".into())))
    }
}

/// The number of requests that this profile's credentials source sends while services have this endpoint, and its error
/// message.
async fn requests(profile: &str, endpoint: &str, purpose: Purpose) -> (usize, Option<String>) {
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join(".aws/sso/cache");
    std::fs::create_dir_all(&cache).unwrap();
    std::fs::write(home.path().join("token"), "s3cret").unwrap();
    // The file name is the SHA-1 of the start URL.
    let session = r#"{"accessToken":"s3cret","expiresAt":"2999-01-01T00:00:00Z"}"#;
    std::fs::write(cache.join("b343494cf15ba6b81449840ea93161cf3b27e5e3.json"), session).unwrap();
    let home = home.path().to_str().unwrap();
    let counting = Counting::default();
    let connector = SharedHttpConnector::new(counting.clone());
    let provider = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .env(Env::from_slice(&[
            ("HOME", home),
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]))
        .profile_files(files_with(format!("[default]\n{}", profile.replace("HOME", home))))
        .profile_name("default")
        .region(Region::new("us-east-1"))
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .http_client(guarded(http_client_fn(move |_, _| connector.clone()), purpose, Trace::default()))
        .load()
        .await
        .credentials_provider()
        .unwrap();
    let error = provider.provide_credentials().await.unwrap_err();
    (counting.0.load(Ordering::Relaxed), invalid_setting(&error).map(|error| error.to_string()))
}

#[tokio::test]
async fn no_credentials_go_out_in_clear() {
    let role = "role_arn = arn:aws:iam::123456789012:role/reader\n";
    for profile in [
        format!("{role}web_identity_token_file = HOME/token\n"),
        format!(
            "{role}source_profile = base\n[profile base]\naws_access_key_id = A\naws_secret_access_key = k\n"
        ),
        "sso_account_id = 123456789012\nsso_role_name = reader\nsso_region = us-east-1\n\
         sso_start_url = https://example.com/start\n"
            .to_owned(),
    ] {
        for endpoint in ["http://192.0.2.1", "http://sts.example.com", "http://169.254.169.254"] {
            let (sent, error) = requests(&profile, endpoint, Purpose::Services).await;
            assert_eq!(sent, 0, "{profile}");
            assert!(error.is_some_and(|error| error.contains("plain http")), "{profile}");
        }
        for endpoint in ["http://127.0.0.1:1", "https://192.0.2.1"] {
            let (sent, error) = requests(&profile, endpoint, Purpose::Services).await;
            assert_eq!((sent, error), (1, None), "{profile}");
        }
    }
}

#[derive(Debug)]
struct Panicking;

impl HttpConnector for Panicking {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        panic!("s3cret")
    }
}

#[tokio::test]
async fn connector_panics_are_caught() {
    let rule = Rule { purpose: Purpose::Services, trace: Trace::default() };
    let connector = GuardedConnector { inner: SharedHttpConnector::new(Panicking), rule };
    let request = HttpRequest::get("https://192.0.2.1").unwrap();
    let error = connector.call(request).await.unwrap_err();
    assert!(chain(&error).any(<dyn error::Error>::is::<ksm_storage_core::Panicked>), "{error}");
}
