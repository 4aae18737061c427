//! Opening a storage on a replica in another region, over HTTP.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

use std::{iter::repeat_n, time::Duration};

use aws_sdk_secretsmanager::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use ksm_storage_aws::{AwsSecretStorage, AwsStorageBuilder, ErrorKind, Outcome};
use ksm_storage_core::{
    ConfigKey::{Bat, Url},
    ConfigStorage, ExposeSecret, Origin,
};
use ksm_storage_emulator::{Action, Emulator, Fault, ResponseFault, Server, Value};

/// A secret in `us-east-1`, with a replica in `us-west-2`.
struct World {
    server: Server,
    east: Emulator,
    west: Emulator,
}

impl World {
    async fn new() -> Self {
        let server = Server::start(Emulator::new("us-east-1")).await.unwrap();
        let east = server.emulator().clone();
        let west = east.add_region("us-west-2");
        east.secret("ksm-config").overwrite(Value::Text(r#"{"url":"first"}"#.into()));
        east.secret("ksm-config").replicate_to("us-west-2");
        Self { server, east, west }
    }

    fn builder(&self, id: &str) -> AwsStorageBuilder {
        AwsSecretStorage::from_custom_config(id, "AKIA", "key", "us-east-1")
            .endpoint_url(self.server.url())
            .attempt_timeout(Duration::from_millis(500))
            .fallback_regions(["us-west-2"])
    }

    /// Injects a fault into the primary region's answers.
    fn fail(&self, fault: &Fault) {
        self.east.clear_faults();
        self.east.fail(Action::GetSecretValue, repeat_n(fault.clone(), 1_000));
    }

    /// The number of reads in each region.
    fn reads(&self) -> [usize; 2] {
        [&self.east, &self.west].map(|region| region.calls(Action::GetSecretValue))
    }
}

fn origin(storage: &ConfigStorage) -> (String, Origin) {
    let snapshot = storage.snapshot();
    (snapshot.get(Url).unwrap().expose_secret().to_owned(), snapshot.origin())
}

#[tokio::test]
async fn outages_open_on_the_replica() {
    for fault in [
        Fault::Before(ResponseFault::Reset),
        Fault::Before(ResponseFault::Hang),
        Fault::Before(ResponseFault::Status(500)),
        Fault::Before(ResponseFault::Status(503)),
        Fault::Delay(Duration::from_secs(5)),
    ] {
        let world = World::new().await;
        world.fail(&fault);
        let storage = world.builder("ksm-config").open().await.unwrap();
        assert_eq!(origin(&storage), ("first".to_owned(), Origin::Replica), "{fault:?}");
        assert_eq!(world.reads(), [3, 1], "{fault:?}");
        assert_eq!(storage.location().to_string(), "aws-sm://us-east-1/ksm-config");
    }
}

/// The ARN of the replica differs in its region.
#[tokio::test]
async fn arn_leads_to_the_replica() {
    let world = World::new().await;
    world.fail(&Fault::Before(ResponseFault::Reset));
    let arn = world.east.secret("ksm-config").arn().unwrap();
    let storage = world.builder(&arn).open().await.unwrap();
    assert_eq!(origin(&storage).1, Origin::Replica);
    assert_eq!(storage.location().to_string(), format!("aws-sm:{arn}"));
}

#[tokio::test]
async fn replica_answers_no_refusal() {
    for (code, kind) in [
        ("AccessDeniedException", ErrorKind::AccessDenied),
        ("ResourceNotFoundException", ErrorKind::NotFound),
        ("DecryptionFailure", ErrorKind::AccessDenied),
        ("UnrecognizedClientException", ErrorKind::Credentials),
    ] {
        let world = World::new().await;
        world.fail(&Fault::refuse(code));
        assert_eq!(world.builder("ksm-config").open().await.unwrap_err().kind(), kind);
        assert_eq!(world.reads()[1], 0, "{code}");
    }
    let world = World::new().await;
    world.east.secret("ksm-config").remove();
    assert_eq!(world.builder("ksm-config").open().await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(world.reads()[1], 0);
}

#[tokio::test]
async fn slow_region_is_preferred() {
    let world = World::new().await;
    world.fail(&Fault::Delay(Duration::from_millis(1_500)));
    let builder = world.builder("ksm-config").attempt_timeout(Duration::from_secs(4));
    let storage = builder.open().await.unwrap();
    assert_eq!((origin(&storage).1, world.reads()), (Origin::Store, [1, 1]));
}

#[tokio::test]
async fn refresh_replaces_stale_replica() {
    let world = World::new().await;
    world.builder("ksm-config").open().await.unwrap();
    world.west.secret("ksm-config").value("AWSCURRENT").unwrap();
    world.east.set_replication_lag(Duration::from_hours(1));
    world.east.secret("ksm-config").overwrite(Value::Text(r#"{"url":"second"}"#.into()));
    world.fail(&Fault::Before(ResponseFault::Status(503)));
    let storage = world.builder("ksm-config").open().await.unwrap();
    assert_eq!(origin(&storage), ("first".to_owned(), Origin::Replica));

    let copy = storage.snapshot();
    let refused = storage.save(&copy, copy.document().clone()).await.unwrap_err();
    assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::ReadOnly, Outcome::NotApplied));
    assert_eq!(storage.refresh().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(storage.set(Bat, "b").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(world.west.calls(Action::PutSecretValue), 0);

    world.east.clear_faults();
    storage.set(Bat, "b").await.unwrap();
    assert_eq!(origin(&storage), ("second".to_owned(), Origin::Store));
    assert_eq!(world.west.calls(Action::PutSecretValue), 0);
}

#[tokio::test]
async fn promoted_replica_is_read_as_one() {
    let world = World::new().await;
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-west-2"))
        .credentials_provider(Credentials::new("AKIA", "key", None, None, "test"))
        .endpoint_url(world.server.url());
    let west = Client::from_conf(config.build());
    west.stop_replication_to_replica().secret_id("ksm-config").send().await.unwrap();
    west.put_secret_value()
        .secret_id("ksm-config")
        .secret_string(r#"{"url":"promoted"}"#)
        .send()
        .await
        .unwrap();
    world.fail(&Fault::Before(ResponseFault::Reset));
    let storage = world.builder("ksm-config").open().await.unwrap();
    assert_eq!(origin(&storage), ("promoted".to_owned(), Origin::Replica));
    // After failback to the lost region, its own value counts.
    world.east.clear_faults();
    storage.refresh().await.unwrap();
    assert_eq!(origin(&storage), ("first".to_owned(), Origin::Store));
    // The promoted replica is a secret like any other.
    let own = AwsSecretStorage::from_custom_config("ksm-config", "AKIA", "key", "us-west-2");
    own.endpoint_url(world.server.url()).open().await.unwrap().set(Bat, "b").await.unwrap();
}

#[tokio::test]
async fn own_region_reports_both_failures() {
    let world = World::new().await;
    world.fail(&Fault::Before(ResponseFault::Status(503)));
    world.west.deny(Action::GetSecretValue, "AccessDeniedException");
    let error = world.builder("ksm-config").open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("us-east-1"), "{error}");
}

#[tokio::test]
async fn impossible_regions_are_refused() {
    let world = World::new().await;
    for (regions, words) in [
        (vec!["us east"], "fallback_regions"),
        (vec!["us-west-2", "us-east-1"], "fallback_regions names us-east-1, the region of the secret itself"),
    ] {
        let error = world.builder("ksm-config").fallback_regions(regions).open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(words), "{error}");
    }
    world.builder("ksm-config").fallback_regions(["", " "]).open().await.unwrap();
    assert_eq!(world.reads(), [1, 0]);
}
