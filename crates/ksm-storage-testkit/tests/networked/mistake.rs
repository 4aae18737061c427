//! Mistakes that the author of a backend may make.

/// One mistake in an otherwise correct backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mistake {
    /// A failed load is reported as a table without a value.
    FailedLoadIsAbsent,
    /// A failed load is reported as [`NotFound`](ksm_storage_core::ErrorKind::NotFound).
    FailedLoadIsNotFound,
    /// A table without a value is reported as one that holds `{}`.
    AbsentIsEmptyDocument,
    /// The last response is a field of a struct with a derived `Debug`.
    DerivedDebug,
    /// The location contains the password.
    PasswordInLocation,
    /// An error contains the password.
    PasswordInError,
    /// The error's message is the server's message, which quotes the statement.
    ServerTextAsMessage,
    /// The error's source is the server's message.
    ServerTextAsSource,
    /// The source of the error's source contains the request as a list of numbers.
    RequestAsDeepSource,
    /// A failed store panics with the request in the message.
    PanicsWithRequest,
    /// A log event contains the payload as text.
    LogsPayload,
    /// A log event contains the payload as a list of numbers.
    LogsBytes,
    /// Every failed store is reported as not applied.
    NotAppliedAlways,
    /// A store that times out is reported as not applied.
    NotAppliedOnTimeout,
    /// A store without a response is sent again, and mistakes its first attempt for another writer's version.
    ResendsStore,
    /// Calls have no time limit.
    NoTimeLimit,
    /// Each attempt has a time limit, but the number of attempts has none.
    RetriesForever,
    /// The revision, which restarts when the value is deleted, serves as the version.
    RevisionAsVersion,
    /// All absent states have the same version.
    OneAbsence,
    /// The version is a hash of the content.
    HashAsVersion,
    /// The version is compared with a separate load before an unconditional write.
    CheckThenWrite,
    /// The expected version is ignored.
    IgnoresExpected,
    /// After a conflict, the store is repeated on the current version.
    RetriesConflict,
    /// A conflict is reported as an error.
    ConflictIsError,
    /// A conflict on a table without a value creates the value.
    CreatesOnConflict,
    /// A load of a table without a value creates an empty document.
    CreatesOnLoad,
    /// `Committed` is returned before the server has answered.
    CommittedBeforeAnswer,
    /// `Committed` carries the version that was expected.
    ReturnsExpected,
    /// Blanks around the payload are removed.
    Trims,
    /// The payload is parsed and written anew.
    Rewrites,
    /// Loads are served from a cache.
    CachesLoad,
    /// Loads are served by a lagging replica, although reads are declared fresh.
    ReadsReplica,
    /// Reads are declared stale, and every version is confirmed as current.
    ConfirmsStale,
    /// The error of a full server counts as an acknowledgement.
    FullIsCommitted,
    /// A response is truncated after 4 KiB.
    CutsAtBuffer,
    /// A long value is read in two requests, and may change in between.
    MixesTwoReads,
    /// The payload and its version are read in separate requests.
    VersionAfterPayload,
    /// A long value is written in two requests.
    WritesTwice,
    /// The declared size limit exceeds the server's.
    DeclaresTooMuch,
}

impl Mistake {
    pub(crate) const ALL: &[Self] = &[
        Self::FailedLoadIsAbsent,
        Self::FailedLoadIsNotFound,
        Self::AbsentIsEmptyDocument,
        Self::DerivedDebug,
        Self::PasswordInLocation,
        Self::PasswordInError,
        Self::ServerTextAsMessage,
        Self::ServerTextAsSource,
        Self::RequestAsDeepSource,
        Self::PanicsWithRequest,
        Self::LogsPayload,
        Self::LogsBytes,
        Self::NotAppliedAlways,
        Self::NotAppliedOnTimeout,
        Self::ResendsStore,
        Self::NoTimeLimit,
        Self::RetriesForever,
        Self::RevisionAsVersion,
        Self::OneAbsence,
        Self::HashAsVersion,
        Self::CheckThenWrite,
        Self::IgnoresExpected,
        Self::RetriesConflict,
        Self::ConflictIsError,
        Self::CreatesOnConflict,
        Self::CreatesOnLoad,
        Self::CommittedBeforeAnswer,
        Self::ReturnsExpected,
        Self::Trims,
        Self::Rewrites,
        Self::CachesLoad,
        Self::ReadsReplica,
        Self::ConfirmsStale,
        Self::FullIsCommitted,
        Self::CutsAtBuffer,
        Self::MixesTwoReads,
        Self::VersionAfterPayload,
        Self::WritesTwice,
        Self::DeclaresTooMuch,
    ];
}
