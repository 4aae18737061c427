//! The AWS backend keeps the contract: over the emulator in process, and by the real SDK over HTTP.
#![allow(missing_docs)]

use std::sync::Arc;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use ksm_storage_aws::{
    AwsSecretBackend, AwsSecretStorage, Concurrency,
    emulator::{Emulator, Secret, Server, Value},
};
use ksm_storage_core::{Payload, StorageBackend};
use ksm_storage_testkit::{Fixture, Store, conformance_tests};

/// Whether calls go over HTTP.
#[derive(Clone, Copy, Debug)]
enum Door {
    InProcess,
    Http,
}

struct Aws(Concurrency, Door);

struct AwsStore {
    emulator: Emulator,
    secret: Secret,
    concurrency: Concurrency,
    server: Option<Server>,
}

#[async_trait]
impl Fixture for Aws {
    fn name(&self) -> String {
        format!("aws-emulator, {:?}, {:?}", self.0, self.1)
    }

    async fn fresh(&self) -> Box<dyn Store> {
        let emulator = Emulator::new("us-east-1");
        emulator.lift_version_quota();
        let secret = emulator.secret("ksm-config");
        secret.create();
        let server = match self.1 {
            Door::InProcess => None,
            Door::Http => Some(Server::start(emulator.clone()).await.unwrap()),
        };
        Box::new(AwsStore { emulator, secret, concurrency: self.0, server })
    }
}

#[async_trait]
impl Store for AwsStore {
    async fn open(&self) -> Arc<dyn StorageBackend> {
        if let Some(server) = &self.server {
            let config = SdkConfig::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new("us-east-1"))
                .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                    "AKIA", "key", None, None, "test",
                )))
                .endpoint_url(server.url())
                .build();
            let builder = AwsSecretStorage::from_sdk_config("ksm-config", &config);
            return Arc::new(builder.concurrency(self.concurrency).open_backend().await.unwrap());
        }
        let (client, id) = (Arc::new(self.emulator.clone()), "ksm-config".parse().unwrap());
        Arc::new(AwsSecretBackend::new(client, id, "us-east-1", self.concurrency))
    }

    async fn write(&self, payload: Option<Payload>) {
        match payload {
            Some(payload) => drop(self.secret.overwrite(Value::Text(payload))),
            None => self.secret.remove(),
        }
    }

    async fn read(&self) -> Option<Payload> {
        let value = self.secret.value("AWSCURRENT")?;
        let text = std::str::from_utf8(value.as_bytes()).unwrap();
        // Without the nonce.
        Some(Payload::from(text.trim_end_matches([' ', '\t', '\n'])))
    }
}

mod optimistic {
    use super::*;
    conformance_tests!(Aws(Concurrency::Optimistic, Door::InProcess));
}

mod strict {
    use super::*;
    conformance_tests!(Aws(Concurrency::Strict, Door::InProcess));
}

mod optimistic_over_http {
    use super::*;
    conformance_tests!(Aws(Concurrency::Optimistic, Door::Http));
}

mod strict_over_http {
    use super::*;
    conformance_tests!(Aws(Concurrency::Strict, Door::Http));
}
