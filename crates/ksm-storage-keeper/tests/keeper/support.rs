use std::sync::{Arc, Mutex};

use ksm_storage_aws::{AwsSecretBackend, Concurrency};
use ksm_storage_core::{ConfigDocument, ConfigStorage};
use ksm_storage_emulator::{
    Action, Emulator, Value,
    keeper::{AppKeyPolicy, FakeKeeper},
};
use ksm_storage_keeper::{KeeperClient, KeeperClientBuilder, Result};

pub(crate) const POLICIES: [AppKeyPolicy; 2] = [AppKeyPolicy::Once, AppKeyPolicy::UntilConfirmed];
pub(crate) const TITLES: [&str; 2] = ["Database", "Message queue"];

/// A secret on the AWS emulator, and a fake Keeper service.
pub(crate) struct World {
    pub(crate) keeper: FakeKeeper,
    pub(crate) aws: Emulator,
    counted: Mutex<[usize; 2]>,
}

impl World {
    pub(crate) fn new(policy: AppKeyPolicy, stored: &str) -> Self {
        let world = Self {
            keeper: FakeKeeper::start(policy).unwrap(),
            aws: Emulator::new("eu-west-1"),
            counted: Mutex::default(),
        };
        world.store(stored);
        world
    }

    /// Stores a value without following the protocol, as a person would.
    pub(crate) fn store(&self, json: &str) {
        self.aws.secret("ksm-config").overwrite(Value::Text(json.into()));
    }

    pub(crate) fn backend(&self) -> AwsSecretBackend {
        let (client, id) = (Arc::new(self.aws.clone()), "ksm-config".parse().unwrap());
        AwsSecretBackend::new(client, id, "eu-west-1", Concurrency::Optimistic)
    }

    pub(crate) async fn storage(&self) -> ConfigStorage {
        ConfigStorage::open(self.backend()).await.unwrap()
    }

    pub(crate) fn builder(&self) -> KeeperClientBuilder {
        configured(&self.keeper)
    }

    pub(crate) async fn open(&self, token: &str) -> Result<KeeperClient> {
        self.builder().token(token).open(self.storage().await).await
    }

    /// Starts as a bound program does, with nothing but the storage.
    pub(crate) async fn start(&self) -> Result<KeeperClient> {
        KeeperClient::builder().insecure_skip_verify().open(self.storage().await).await
    }

    pub(crate) async fn stored(&self) -> ConfigDocument {
        self.storage().await.snapshot().document().clone()
    }

    /// The numbers of gets and puts since the last call.
    pub(crate) fn calls(&self) -> [usize; 2] {
        let now = [Action::GetSecretValue, Action::PutSecretValue].map(|action| self.aws.calls(action));
        let mut counted = self.counted.lock().unwrap();
        let before = std::mem::replace(&mut *counted, now);
        [now[0] - before[0], now[1] - before[1]]
    }
}

pub(crate) async fn titles(client: &KeeperClient) -> Vec<String> {
    client.get_secrets(&[]).await.unwrap().into_iter().map(|record| record.title).collect()
}

/// Returns a builder that connects to this service.
pub(crate) fn configured(keeper: &FakeKeeper) -> KeeperClientBuilder {
    KeeperClient::builder()
        .hostname(keeper.hostname())
        .server_public_key(keeper.server_public_key())
        .server_public_key_id(keeper.server_public_key_id())
        .insecure_skip_verify()
}
