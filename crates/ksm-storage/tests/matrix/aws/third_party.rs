//! The AWS backend on third-party emulators.
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be created ends the case")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use aws_sdk_secretsmanager::{Client, error::ProvideErrorMetadata, primitives::Blob};
use ksm_storage_aws::{AwsSecretStorage, Concurrency};
use ksm_storage_core::{Payload, StorageBackend};
use ksm_storage_emulator::fixture::sdk_config;
use ksm_storage_testkit::{Fixture, Limits, Store};
use python_peers::{Program, Server};

/// One server for all cases.
pub(crate) struct ThirdParty {
    program: Program,
    concurrency: Concurrency,
    server: Server,
}

impl ThirdParty {
    pub(crate) fn start(program: Program, concurrency: Concurrency) -> Result<Self, String> {
        Ok(Self { program, concurrency, server: Server::start(program)? })
    }
}

#[async_trait]
impl Fixture for ThirdParty {
    fn name(&self) -> String {
        format!("aws-{:?}, {:?}", self.program, self.concurrency).to_lowercase()
    }

    async fn fresh(&self) -> Box<dyn Store> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let secret = format!("case/{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let config = sdk_config(self.server.url());
        let store =
            OutsideStore { client: Client::new(&config), secret, config, concurrency: self.concurrency };
        store.client.create_secret().name(&store.secret).send().await.unwrap();
        Box::new(store)
    }
}

struct OutsideStore {
    client: Client,
    secret: String,
    config: aws_config::SdkConfig,
    concurrency: Concurrency,
}

#[async_trait]
impl Store for OutsideStore {
    async fn open(&self) -> Arc<dyn StorageBackend> {
        let builder = AwsSecretStorage::from_sdk_config(&*self.secret, &self.config);
        Arc::new(builder.concurrency(self.concurrency).open_backend().await.unwrap())
    }

    async fn write(&self, payload: Option<Payload>) {
        let Some(payload) = payload else {
            let delete = self.client.delete_secret().secret_id(&self.secret);
            delete.force_delete_without_recovery(true).send().await.unwrap();
            return;
        };
        let (text, binary) = match std::str::from_utf8(payload.as_bytes()) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (None, Some(Blob::new(payload.as_bytes()))),
        };
        let put = self.client.put_secret_value().secret_id(&self.secret);
        let put = put.set_secret_string(text.clone()).set_secret_binary(binary.clone()).send().await;
        if let Err(error) = put {
            assert_eq!(error.code(), Some("ResourceNotFoundException"));
            let create = self.client.create_secret().name(&self.secret);
            create.set_secret_string(text).set_secret_binary(binary).send().await.unwrap();
        }
    }

    async fn read(&self) -> Option<Payload> {
        let get = self.client.get_secret_value().secret_id(&self.secret).version_stage("AWSCURRENT");
        let found = get.send().await.ok()?;
        // The value without the nonce.
        Some(Payload::from(found.secret_string()?.trim_end_matches([' ', '\t', '\n'])))
    }

    /// These servers are slow, and serve one request at a time.
    fn limits(&self) -> Limits {
        Limits { programs: 16, ..Limits::default() }
    }
}
