//! The region of the instance that the program runs on.

use std::{borrow::Cow, fmt, time::Duration};

use aws_config::{
    imds::{self, client::error::ImdsError},
    provider_config::ProviderConfig,
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::region::Region;
use ksm_storage_core::{Error, ErrorKind, Outcome, Result, catch_panic};
use serde_json::Value;

use crate::{
    SecretId,
    endpoint::{Endpoint, Purpose},
    environment::Environment,
    http,
    profile::Section,
    silence::without_tracing,
    trace::Trace,
};

/// A region, and the setting or service that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) region: Region,
    pub(crate) source: Cow<'static, str>,
}

/// The cause of an [`Error`] about the region: none is known, or two settings contradict each other. It is the error's
/// [source](std::error::Error::source).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionUnknown;

impl fmt::Display for RegionUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the region is not known for certain")
    }
}

impl std::error::Error for RegionUnknown {}

const IPV4: &str = "http://169.254.169.254";
const IPV6: &str = "http://[fd00:ec2::254]";

/// Wording required by the specification.
const FAILED: &str = "Failed to determine AWS region for EC2 instance.";

/// A metadata client that gives up early: one attempt of `patience`.
pub(crate) fn metadata_client(
    environment: Environment,
    profile: Option<&Section<'_>>,
    patience: Duration,
) -> Result<(imds::Client, Trace)> {
    let given = |variable, key| match environment.given(variable)? {
        Some(given) => Ok(Some(given)),
        None => profile.map(|profile| profile.given(key)).transpose().map(Option::flatten),
    };
    let endpoint = given("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint")?;
    let endpoint = endpoint.map(Endpoint::parse).transpose()?;
    if let Some(endpoint) = &endpoint
        && !Purpose::Metadata.permits(endpoint.url())
    {
        return Err(endpoint.plain_http().into());
    }
    let mode = given("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode")?;
    let default = match mode {
        None => IPV4,
        Some(mode) if mode.as_str().eq_ignore_ascii_case("ipv4") => IPV4,
        Some(mode) if mode.as_str().eq_ignore_ascii_case("ipv6") => IPV6,
        Some(mode) => return Err(mode.invalid("expected IPv4 or IPv6")),
    };
    let url = endpoint.as_ref().map_or(default, Endpoint::url).to_owned();
    let trace = Trace::from(endpoint.into_iter().collect::<Vec<_>>());
    Ok((client(&http::client(Purpose::Metadata, trace.clone()), &url, patience), trace))
}

fn client(http: &SharedHttpClient, url: &str, patience: Duration) -> imds::Client {
    let config = ProviderConfig::without_region().with_http_client(http.clone());
    let builder = imds::Client::builder()
        .configure(&config)
        .max_attempts(1)
        .connect_timeout(patience)
        .read_timeout(patience)
        .operation_attempt_timeout(patience * 2);
    // The builder accepts every endpoint that was parsed.
    builder.clone().endpoint(url).unwrap_or(builder).build()
}

type Read = fn(&str) -> Option<String>;

/// Asks the metadata service for the placement, then the identity document, then the host name. Only a missing value
/// leads to the next query; a service that does not answer is not asked again.
pub(crate) async fn of_instance(
    client: &imds::Client,
    environment: Environment,
    id: &SecretId,
) -> Result<Region> {
    let failed = |why: &str| failed(why, environment, id);
    if environment.is_metadata_disabled()? {
        return Err(failed("AWS_EC2_METADATA_DISABLED is set"));
    }
    let questions: [(&str, Read); 3] = [
        ("/latest/meta-data/placement/region", |text| is_region(text).then(|| text.to_owned())),
        ("/latest/dynamic/instance-identity/document", in_document),
        ("/latest/meta-data/hostname", in_host_name),
    ];
    for (path, read) in questions {
        match without_tracing(catch_panic("a request to the instance metadata service", client.get(path)))
            .await
        {
            Ok(Ok(text)) => {
                if let Some(region) = read(text.as_ref().trim()) {
                    return Ok(Region::new(region));
                }
            }
            Ok(Err(ImdsError::ErrorResponse(answer))) if answer.response().status().as_u16() == 404 => {}
            Ok(Err(ImdsError::ErrorResponse(_))) => {
                return Err(failed("the instance metadata service refused to answer"));
            }
            Ok(Err(_)) => return Err(failed("the instance metadata service did not answer")),
            Err(panicked) => return Err(Error::from(panicked).with_outcome(Outcome::NotApplied)),
        }
    }
    Err(failed("the instance metadata service does not know it"))
}

/// A region such as `us-east-1` or `us-gov-west-1`.
fn is_region(text: &str) -> bool {
    let words: Vec<_> = text.split('-').collect();
    let Some((number, names)) = words.split_last() else { return false };
    names.len() >= 2
        && names.iter().all(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase()))
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn in_document(text: &str) -> Option<String> {
    let document: Value = serde_json::from_str(text).ok()?;
    document.get("region")?.as_str().filter(|region| is_region(region)).map(str::to_owned)
}

/// `ip-10-0-0-1.us-east-2.compute.internal`, but in one region `ip-10-0-0-1.ec2.internal`:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hostname-types.html>
fn in_host_name(name: &str) -> Option<String> {
    let labels: Vec<_> = name.split('.').collect();
    match *labels {
        [_, region, "compute", "internal"] if is_region(region) => Some(region.to_owned()),
        [_, "ec2", "internal"] => Some("us-east-1".to_owned()),
        _ => None,
    }
}

fn failed(why: &str, environment: Environment, id: &SecretId) -> Error {
    let name = id.name();
    let place = [
        ("AWS_LAMBDA_FUNCTION_NAME", "Lambda"),
        ("ECS_CONTAINER_METADATA_URI_V4", "ECS"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "ECS"),
        ("KUBERNETES_SERVICE_HOST", "EKS"),
    ]
    .into_iter()
    .find(|(name, _)| (environment.0)(name).is_some());
    let hint = match place {
        Some((_, place)) => format!("this is {place}: use the default credential chain, not that of EC2"),
        None => format!(
            "give the full ARN, aws-sm://REGION/{name} or a region; off EC2 use the default credential chain"
        ),
    };
    Error::not_applied(ErrorKind::InvalidArgument, format!("{FAILED} ({why}; for the secret {name})"))
        .with_hint(hint)
        .with_source(RegionUnknown)
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsString,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use aws_smithy_runtime_api::client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
    };
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn regions_are_recognised_by_their_shape() {
        for region in ["us-east-1", "us-gov-west-1", "eusc-de-east-1", "us-isob-east-1"] {
            assert!(is_region(region), "{region}");
        }
        for other in [
            "",
            "ec2",
            "us-east",
            "us-east-",
            "US-EAST-1",
            "us--1",
            "us-east-1a",
            "us-east-100",
            "corp.example",
        ] {
            assert!(!is_region(other), "{other}");
        }
    }

    #[test]
    fn region_comes_from_host_or_document() {
        assert_eq!(in_host_name("ip-10-0-0-1.us-east-2.compute.internal").as_deref(), Some("us-east-2"));
        assert_eq!(in_host_name("i-0abc.us-west-2.compute.internal").as_deref(), Some("us-west-2"));
        assert_eq!(in_host_name("ip-10-0-0-1.ec2.internal").as_deref(), Some("us-east-1"));
        for name in ["", "web.corp.example", "ip-10-0-0-1.corp.compute.internal"] {
            assert_eq!(in_host_name(name), None, "{name}");
        }
        assert_eq!(in_document(r#"{"region":"eu-west-1"}"#).as_deref(), Some("eu-west-1"));
        assert_eq!(in_document(r#"{"region":7}"#), None);
        assert_eq!(in_document("no"), None);
    }

    /// An instance whose paths give these answers, regardless of the token; and the number of queries.
    fn instance(answers: [(u16, &'static str); 3]) -> (imds::Client, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let connect = move |request: HttpRequest| {
            counted.fetch_add(1, Ordering::Relaxed);
            let path = request.uri().to_owned();
            let asked = ["/placement/region", "/document", "/hostname"].map(|end| path.ends_with(end));
            let asked = asked.iter().position(|asked| *asked);
            let (status, body) = asked.map_or((200, "token"), |place| answers[place]);
            let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
            response.headers_mut().insert("x-aws-ec2-metadata-token-ttl-seconds", "21600");
            HttpConnectorFuture::ready(Ok(response))
        };
        let connector = SharedHttpConnector::new(FnConnector(connect));
        let http = http_client_fn(move |_, _| connector.clone());
        (client(&http, IPV4, Duration::from_secs(1)), calls)
    }

    struct FnConnector<F>(F);

    impl<F> fmt::Debug for FnConnector<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("FnConnector")
        }
    }

    impl<F: Fn(HttpRequest) -> HttpConnectorFuture + Send + Sync> HttpConnector for FnConnector<F> {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            (self.0)(request)
        }
    }

    #[tokio::test]
    async fn region_places_are_asked_in_turn() {
        let missing = (404, "not found");
        let document = (200, r#"{"region":"eu-west-2"}"#);
        let host_name = (200, "ip-10-0-0-1.eu-west-3.compute.internal");
        for (answers, expected, asked) in [
            ([(200, "eu-west-1"), document, host_name], "eu-west-1", 1),
            ([missing, document, host_name], "eu-west-2", 2),
            ([missing, missing, host_name], "eu-west-3", 3),
            ([missing, missing, missing], "does not know it", 3),
            ([(401, "no"), document, host_name], "refused to answer", 1),
        ] {
            let (client, calls) = instance(answers);
            let found = of_instance(&client, Environment(|_| None), &"ksm-config".parse().unwrap()).await;
            let found = found.map_or_else(|error| error.to_string(), |region| region.to_string());
            assert!(found.contains(expected), "{found}");
            // One more for the token.
            assert_eq!(calls.load(Ordering::Relaxed), 1 + asked, "{expected}");
        }
    }

    #[test]
    fn the_error_names_the_way_out() {
        let id = "ksm-config".parse().unwrap();
        let error =
            failed("why", Environment(|name| (name == "AWS_LAMBDA_FUNCTION_NAME").then(OsString::new)), &id)
                .to_string();
        assert!(
            error.contains(FAILED) && error.contains("Lambda") && error.contains("default credential chain"),
            "{error}"
        );
        assert!(failed("why", Environment(|_| None), &id).to_string().contains("aws-sm://REGION/ksm-config"));
    }
}
