/// The way in which writers of one secret exclude each other. Both ways may be used on one secret.
///
/// Neither depends on time, nor on how long reads of `AWSCURRENT` lag behind. Both assume that the service checks tokens
/// and moves labels atomically, and that labels are up to date in a read by version ID.
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
    /// Writers of this project exclude each other. What another program writes between a writer's load and its store can
    /// be displaced; a check afterwards looks for it and reports what it finds. If the check cannot decide, the write is
    /// `Ok` and [`Snapshot::verification`](ksm_storage_core::Snapshot::verification) tells.
    ///
    /// Needs `GetSecretValue` and `PutSecretValue`. Where strict writers use the same secret, it needs
    /// `UpdateSecretVersionStage` to pass a version that one of them has staged and not made current.
    #[default]
    Optimistic,
    /// A write takes effect only if the version that was loaded is still current, whatever program has written since.
    /// It cannot keep a foreign program from overwriting the value blindly afterwards.
    ///
    /// Needs `UpdateSecretVersionStage` too.
    Strict,
}
