//! The child process, which opens a storage, writes once, and prints the results.

use std::{
    env, fs,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use ksm_storage_aws::{AwsSecretStorage, AwsStorageBuilder, Result};
use ksm_storage_core::ConfigKey;
use serde_json::{Value, json};

/// The results of opening and writing.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The error's kind, if there was an error.
    pub(crate) kind: Option<String>,
    pub(crate) retryable: bool,
    pub(crate) fate: String,
    pub(crate) text: String,
    /// The duration of the longest call.
    pub(crate) longest: Duration,
    /// The peak memory of the process so far, in bytes.
    pub(crate) peak: u64,
}

impl Outcome {
    pub(crate) fn read(json: &str) -> Self {
        let value: Value = serde_json::from_str(json).unwrap();
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Self {
            kind: value["kind"].as_str().map(str::to_owned),
            retryable: value["retryable"].as_bool().unwrap(),
            fate: text("outcome"),
            text: text("text"),
            longest: Duration::from_millis(value["longest"].as_u64().unwrap()),
            peak: value["peak"].as_u64().unwrap(),
        }
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.kind.is_none()
    }
}

/// One of several cases run in the same child: a new configuration file, or a method with its value.
pub(crate) struct Case {
    pub(crate) config: Option<String>,
    pub(crate) method: Option<(String, String)>,
}

impl Case {
    pub(crate) fn write(cases: &[Self]) -> String {
        let case = |case: &Self| json!({ "config": case.config, "method": case.method });
        Value::from(cases.iter().map(case).collect::<Vec<_>>()).to_string()
    }
}

#[tokio::test]
#[ignore = "run as a child process by the other tests"]
async fn child() {
    let cases = match env::var("CHILD_CASES") {
        Ok(file) => serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap(),
        Err(_) => vec![json!({})],
    };
    for case in cases {
        if let Some(config) = case["config"].as_str() {
            fs::write(env::var("AWS_CONFIG_FILE").unwrap(), config).unwrap();
        }
        let method =
            case["method"].as_array().map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
        let (result, longest) = attempt(builder(method)).await;
        let mut json = json!({ "retryable": false, "longest": longest.as_millis(), "peak": peak() });
        if let Err(error) = result {
            assert!(!format!("{error:?}").contains('\n'));
            json["kind"] = error.kind().as_str().into();
            json["retryable"] = error.is_retryable().into();
            json["outcome"] = error.outcome().as_str().into();
            json["text"] = error.to_string().into();
        }
        println!("\nRESULT {json}");
    }
    println!("child has ended");
}

async fn attempt(builder: AwsStorageBuilder) -> (Result<()>, Duration) {
    let start = Instant::now();
    let storage = builder.open().await;
    let opening = start.elapsed();
    let storage = match storage {
        Ok(storage) => storage,
        Err(error) => return (Err(error), opening),
    };
    let start = Instant::now();
    let result = storage.set(ConfigKey::Url, "x").await.map(drop);
    (result, opening.max(start.elapsed()))
}

fn duration(value: &str) -> Duration {
    if value == "max" { Duration::MAX } else { Duration::from_nanos(value.parse().unwrap()) }
}

/// The peak memory of this process, where the system reports it.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() << 10
}

fn builder(method: Option<(&str, &str)>) -> AwsStorageBuilder {
    let (name, value) = method.unwrap_or_default();
    let take = |own: &str, default: &str| if own == name { value.to_owned() } else { default.to_owned() };
    let id = take("key", "");
    let builder = match &*env::var("CHILD_MODE").unwrap() {
        "default" => AwsSecretStorage::from_default_config(id),
        "ec2" => AwsSecretStorage::from_ec2_instance_config(id),
        "profile" => AwsSecretStorage::from_profile_config(id, take("profile", "work")),
        "sdk" => {
            let config = aws_config::SdkConfig::builder()
                .region(aws_config::Region::new(take("sdk region", "us-east-1")))
                .endpoint_url(take("sdk endpoint", &env::var("CHILD_URL").unwrap()))
                .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
                    aws_credential_types::Credentials::new(
                        take("sdk id", "AKIA"),
                        take("sdk key", "key"),
                        Some(take("sdk token", "token")),
                        None,
                        "test",
                    ),
                ))
                .behavior_version(aws_config::BehaviorVersion::latest())
                .build();
            AwsSecretStorage::from_sdk_config(id, &config)
        }
        _ => AwsSecretStorage::from_custom_config(
            id,
            take("access_key_id", "AKIA"),
            take("secret_access_key", "key"),
            take("custom region", "us-east-1"),
        ),
    };
    let builder = match env::var("CHILD_DEADLINE") {
        Ok(millis) => builder.deadline(Duration::from_millis(millis.parse().unwrap())),
        Err(_) => builder.max_attempts(NonZeroU32::MIN).deadline(Duration::from_secs(10)),
    };
    match name {
        "region" => builder.region(value),
        "endpoint_url" => builder.endpoint_url(value),
        "session_token" => builder.session_token(value),
        "max_attempts" => builder.max_attempts(value.parse().unwrap()),
        "write_attempts" => builder.write_attempts(value.parse().unwrap()),
        "attempt_timeout" => builder.attempt_timeout(duration(value)),
        "deadline" => builder.deadline(duration(value)),
        "kms_key_id" => builder.create_if_missing().kms_key_id(value),
        _ => builder,
    }
}
