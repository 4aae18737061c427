/// The method by which writers of one secret exclude each other. Both methods may be used on the same secret.
///
/// Neither depends on timing or on how long reads of `AWSCURRENT` lag behind. Both assume that the service checks
/// tokens and moves labels atomically, and that reads by version ID return up-to-date labels.
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
    /// Writers of this project exclude each other. A version that another program writes between a writer's load and
    /// its store can be displaced; a check after the write looks for one and reports it. If the check cannot decide,
    /// the write returns `Ok` and [`Snapshot::verification`](ksm_storage_core::Snapshot::verification) is inconclusive.
    ///
    /// Requires `GetSecretValue` and `PutSecretValue`. If strict writers use the same secret, also requires
    /// `UpdateSecretVersionStage`, to get past a version that one of them staged but did not make current.
    #[default]
    Optimistic,
    /// A write takes effect only if the loaded version is still current, whichever program wrote last. It cannot
    /// prevent a foreign program from blindly overwriting the value afterwards.
    ///
    /// Requires `UpdateSecretVersionStage` as well.
    Strict,
}
