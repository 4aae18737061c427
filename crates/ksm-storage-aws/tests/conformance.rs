//! The AWS backend keeps the contract, over the emulator in process.
#![allow(missing_docs)]

use std::sync::Arc;

use async_trait::async_trait;
use ksm_storage_aws::{
    AwsSecretBackend, Concurrency,
    emulator::{Emulator, Secret, Value},
};
use ksm_storage_core::{Payload, StorageBackend};
use ksm_storage_testkit::{Fixture, Store, conformance_tests};

struct Aws(Concurrency);

struct AwsStore {
    emulator: Emulator,
    secret: Secret,
    concurrency: Concurrency,
}

#[async_trait]
impl Fixture for Aws {
    fn name(&self) -> String {
        format!("aws-emulator, {:?}", self.0)
    }

    async fn fresh(&self) -> Box<dyn Store> {
        let emulator = Emulator::new("us-east-1");
        emulator.lift_version_quota();
        let secret = emulator.secret("ksm-config");
        secret.create();
        Box::new(AwsStore { emulator, secret, concurrency: self.0 })
    }
}

#[async_trait]
impl Store for AwsStore {
    async fn open(&self) -> Arc<dyn StorageBackend> {
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
    conformance_tests!(Aws(Concurrency::Optimistic));
}

mod strict {
    use super::*;
    conformance_tests!(Aws(Concurrency::Strict));
}
