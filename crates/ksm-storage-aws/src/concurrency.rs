/// How writers of one secret keep out of each other's way. Both ways may be used on one secret.
///
/// ```no_run
/// # use ksm_storage_aws::{AwsSecretStorage, Concurrency, Error};
/// # async fn open() -> Result<(), Error> {
/// let builder = AwsSecretStorage::from_default_config("ksm-config").concurrency(Concurrency::Strict);
/// let storage = builder.open().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concurrency {
    /// Writers of this project exclude each other; what another program writes between a writer's load and its store
    /// is displaced, and reported. Needs `GetSecretValue` and `PutSecretValue`.
    #[default]
    Optimistic,
    /// A write excludes every other one, whatever program it comes from. Needs `UpdateSecretVersionStage` too.
    Strict,
}
