use ksm_storage_aws::{
    AwsSecretBackend,
    emulator::{Action, Emulator},
};
use ksm_storage_core::{ConfigDocument, ConfigStorage};
use ksm_storage_sdk::{
    KeeperClient, KeeperClientBuilder, Result,
    fake::{AppKeyPolicy, FakeKeeper},
};

pub(crate) const POLICIES: [AppKeyPolicy; 2] = [AppKeyPolicy::Once, AppKeyPolicy::UntilConfirmed];

/// A secret in the AWS emulator, and a Keeper service.
pub(crate) struct World {
    pub(crate) keeper: FakeKeeper,
    pub(crate) aws: Emulator,
}

impl World {
    pub(crate) fn new(policy: AppKeyPolicy, stored: &str) -> Self {
        let aws = Emulator::new("eu-west-1");
        aws.create_secret("ksm-config", stored);
        Self { keeper: FakeKeeper::start(policy).unwrap(), aws }
    }

    pub(crate) async fn storage(&self) -> ConfigStorage {
        ConfigStorage::open(self.backend()).await.unwrap()
    }

    pub(crate) fn backend(&self) -> AwsSecretBackend {
        AwsSecretBackend::new(self.aws.clone(), "ksm-config".parse().unwrap())
    }

    pub(crate) fn builder(&self) -> KeeperClientBuilder {
        self.keeper.configure(KeeperClient::builder())
    }

    pub(crate) async fn open(&self, token: &str) -> Result<KeeperClient> {
        self.builder().token(token).open(self.storage().await).await
    }

    /// Starts as a program does that was bound before: nothing but the storage.
    pub(crate) async fn start(&self) -> Result<KeeperClient> {
        KeeperClient::builder().insecure_skip_verify().open(self.storage().await).await
    }

    pub(crate) async fn stored(&self) -> ConfigDocument {
        self.storage().await.snapshot().document().clone()
    }

    /// Gets and puts since the last time.
    pub(crate) fn calls(&self) -> (usize, usize) {
        let counts = [Action::GetSecretValue, Action::PutSecretValue].map(|action| self.aws.count(action));
        self.aws.reset_counts();
        (counts[0], counts[1])
    }
}

pub(crate) async fn titles(client: &KeeperClient) -> Vec<String> {
    client.get_secrets(&[]).await.unwrap().into_iter().map(|record| record.title).collect()
}
