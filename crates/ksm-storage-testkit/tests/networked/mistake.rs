//! The mistakes that an author may make in a backend.

/// One mistake in an otherwise correct backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mistake {
    /// A failed load is answered as a table without a value.
    FailedLoadIsAbsent,
    /// A failed load is answered as [`NotFound`](ksm_storage_core::ErrorKind::NotFound).
    FailedLoadIsNotFound,
    /// A table without a value is answered as one that holds `{}`.
    AbsentIsEmptyDocument,
    /// The last answer is a field of a struct with derived `Debug`.
    DerivedDebug,
    /// The password is a part of the location.
    PasswordInLocation,
    /// The password is in an error.
    PasswordInError,
    /// The server's message, which quotes the statement, is the message of the error.
    ServerTextAsMessage,
    /// The server's message is the source of the error.
    ServerTextAsSource,
    /// The request is in the source of the source of the error, as a list of numbers.
    RequestAsDeepSource,
    /// A failed store panics with the request.
    PanicsWithRequest,
    /// The payload is in a log event, as text.
    LogsPayload,
    /// The payload is in a log event, as a list of numbers.
    LogsBytes,
    /// Every failed store is claimed not to be applied.
    NotAppliedAlways,
    /// A store without an answer in time is claimed not to be applied.
    NotAppliedOnTimeout,
    /// A store without an answer is sent again, and takes its own first attempt for another writer's.
    ResendsStore,
    /// No call has a time limit.
    NoTimeLimit,
    /// Every attempt has a time limit, but their number has none.
    RetriesForever,
    /// Versions are revisions, which start again when the value is deleted.
    RevisionAsVersion,
    /// Every absence has the same version.
    OneAbsence,
    /// Versions are hashes of the content.
    HashAsVersion,
    /// The version is compared by a load of its own before an unconditional write.
    CheckThenWrite,
    /// The expected version is ignored.
    IgnoresExpected,
    /// A conflict is answered by another attempt on the current version.
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
    /// A load is answered from memory.
    CachesLoad,
    /// A load is answered by a replica that lags behind, though reads are declared fresh.
    ReadsReplica,
    /// Reads are declared stale, and every version is confirmed as the current one.
    ConfirmsStale,
    /// The error of a server without space for a write is taken for an acknowledgement.
    FullIsCommitted,
    /// An answer is cut after 4 KiB.
    CutsAtBuffer,
    /// A long value is read in two requests, between which it may change.
    MixesTwoReads,
    /// The payload is read in one request and its version in a later one.
    VersionAfterPayload,
    /// A long value is written in two requests.
    WritesTwice,
    /// The declared limit is larger than the server's.
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
