use std::{error, fmt};

use keeper_secrets_manager_core::KSMRError;
use ksm_storage_core::{self as core, ConfigDocument, ConfigKey, Location};

// The client's calls return this error, which can hold the client: the only cycle of modules here.
use crate::{
    KeeperClient, group,
    http::{self, NoReply},
    post::{Refusal, Reply},
    sdk_error,
};

/// The result of a call on a [`KeeperClient`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The category of an error, which decides what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Keeper refuses this client: the client or its application was removed, or the client is locked to the IP address
    /// that bound it. If the configuration was replaced meanwhile, call [`KeeperClient::reload`].
    AccessDenied,
    /// A setting of the builder or the environment is invalid. The error names it.
    InvalidArgument,
    /// The stored document is not a Keeper configuration, or one of its values is malformed. The error names the key.
    InvalidConfig,
    /// The token is malformed. Copy it again.
    InvalidToken,
    /// A change to the configuration could not be stored. The client keeps it: see [`Error::unsaved`].
    NotSaved,
    /// The SDK panicked. (A panic of the caller's own closure is resumed instead.) Changes that the SDK had made are
    /// stored, or kept: see [`Error::unsaved`].
    Panicked,
    /// There is no Tokio runtime on this thread, or it ended during the call. Call from one, or use
    /// [`blocking::KeeperClient`](crate::blocking::KeeperClient).
    Runtime,
    /// The SDK or Keeper's service refused the call: see [`Error::code`].
    Sdk,
    /// The storage failed: see [`Error::storage_error`].
    Storage,
    /// Keeper asks the client to slow down. Try again later.
    Throttled,
    /// The stored configuration belongs to another token. Omit the token to continue with that configuration, or
    /// [`rebind`](crate::KeeperClientBuilder::rebind) to replace it.
    TokenMismatch,
    /// Keeper does not accept the token, because it was already used or has expired. Create a new one, and
    /// [`rebind`](crate::KeeperClientBuilder::rebind) with it.
    TokenSpent,
    /// The stored configuration is not bound, and there is no token to bind it with.
    Unbound,
    /// Keeper did not reply. The stored configuration remains valid: try again.
    Unreachable,
}

/// The cause of a failed call.
///
/// `Display` is one line for a log, including the remedy. Neither it nor `Debug` shows a configuration value, a token,
/// or free text of the SDK or Keeper's service, which may quote identifiers and replies.
///
/// ```
/// use ksm_storage_keeper::{Error, ErrorKind};
///
/// fn advice(error: &Error) -> String {
///     match (error.kind(), error.storage_error()) {
///         (ErrorKind::Unreachable | ErrorKind::Throttled, _) => "try again later".to_owned(),
///         (_, Some(storage)) => format!("check the storage: {:?}", storage.kind()),
///         _ => error.to_string(),
///     }
/// }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    location: Location,
    cause: String,
    /// The remedy.
    hint: Option<String>,
    reply: Option<Reply>,
    storage: Option<core::Error>,
    unsaved: Option<KeeperClient>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, location: Location) -> Self {
        let (cause, hint) = match kind {
            ErrorKind::AccessDenied => (
                "Keeper refuses this client; either it was removed from its application, or Keeper has locked it to the \
                 IP address that bound it",
                "bind again from this address, or with a token made without the IP lock; if the configuration was \
                 replaced, reload it",
            ),
            ErrorKind::InvalidArgument => ("invalid setting", ""),
            ErrorKind::InvalidConfig => ("not the configuration of a Keeper client", ""),
            ErrorKind::InvalidToken => ("invalid one-time token", ""),
            ErrorKind::NotSaved => (
                "a change of the configuration could not be stored",
                "keep the client and call save, or the change is lost",
            ),
            ErrorKind::Panicked => ("the SDK panicked", ""),
            ErrorKind::Runtime => (
                "no Tokio runtime on this thread, or it ended",
                "call it within one, or use blocking::KeeperClient",
            ),
            ErrorKind::Sdk => ("the call failed", ""),
            ErrorKind::Storage => ("the storage failed", ""),
            ErrorKind::Throttled => ("Keeper asks the client to slow down", "try again later"),
            ErrorKind::TokenMismatch => (
                "the stored configuration belongs to another one-time token",
                "omit the token to keep it, or rebind to replace it",
            ),
            ErrorKind::TokenSpent => (
                "Keeper does not accept the one-time token: it was used, has expired, is locked to another IP address, or \
                 belongs to another region",
                "make a new one and rebind, or correct the host name",
            ),
            ErrorKind::Unbound => (
                "the stored configuration is not bound to Keeper, and no one-time token was given",
                "start once with a token, from where the client is to run unless the token was made without the IP lock",
            ),
            ErrorKind::Unreachable => (
                "no reply from Keeper",
                "check the network, the proxy and the host name, and try again with the same token",
            ),
        };
        Self(Box::new(Inner {
            kind,
            location,
            cause: cause.to_owned(),
            hint: Some(hint).filter(|hint| !hint.is_empty()).map(str::to_owned),
            reply: None,
            storage: None,
            unsaved: None,
        }))
    }

    fn with_cause(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = cause.into();
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn invalid_token(location: Location, why: &str) -> Self {
        Self::new(ErrorKind::InvalidToken, location)
            .with_cause(format!("invalid one-time token: {why}"))
            .with_hint("copy it again from Keeper")
    }

    pub(crate) fn invalid_argument(setting: &str, why: &str, location: Location) -> Self {
        Self::new(ErrorKind::InvalidArgument, location)
            .with_cause(format!("invalid setting {setting}: {why}"))
            .with_hint("correct or remove it")
    }

    /// A stored key whose value no client can use.
    pub(crate) fn invalid_key(key: ConfigKey, why: &str, location: Location) -> Self {
        Self::new(ErrorKind::InvalidConfig, location)
            .with_cause(format!("not the configuration of a Keeper client: invalid {key}: {why}"))
            .with_hint(
                "restore an earlier version of the configuration, or make a new one-time token and rebind",
            )
    }

    /// A stored document that a bind must not take over. Its key names are arbitrary, so they are not shown.
    pub(crate) fn foreign(document: &ConfigDocument, location: Location) -> Self {
        let (foreign, count) = (group::count_foreign(document), document.names().count());
        let remedy = if group::is_wrapped(document) {
            "the configuration is the value of the key KSM_CONFIG, as the AWS console's key/value editor stores it; \
             store that value alone, as plain text"
        } else if foreign == count {
            "it may be another program's secret: choose another place, or empty it to {} first"
        } else {
            "remove the other keys, or choose another place"
        };
        let cause = format!("not the configuration of a Keeper client: unknown keys: {foreign} of {count}");
        Self::new(ErrorKind::InvalidConfig, location).with_cause(cause).with_hint(remedy)
    }

    /// A panic of the SDK during `step`, at `place` in its source.
    pub(crate) fn panicked(step: &str, place: Option<String>, location: Location) -> Self {
        let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
        Self::new(ErrorKind::Panicked, location)
            .with_cause(format!("the SDK panicked while {step}{place}"))
            .with_hint("report it to Keeper, with the version of the SDK and this place")
    }

    /// Adds the notation that was read.
    pub(crate) fn with_notation(self, notation: &str) -> Self {
        let cause = format!("notation \"{}\": {}", sdk_error::quote(notation), self.0.cause);
        self.with_cause(cause)
    }

    pub(crate) fn storage(storage: core::Error, location: Location) -> Self {
        let mut error = Self::new(ErrorKind::Storage, location);
        if matches!(storage.kind(), core::ErrorKind::ReadOnly | core::ErrorKind::Unsupported) {
            error = error
                .with_cause("the storage failed, and a bind writes to it")
                .with_hint("bind once with access that may write, then read-only access is enough");
        }
        error.0.storage = Some(storage);
        error
    }

    pub(crate) fn not_saved(storage: core::Error, unsaved: KeeperClient) -> Self {
        let mut error = Self::new(ErrorKind::NotSaved, unsaved.location());
        error.0.storage = Some(storage);
        error.0.unsaved = Some(unsaved);
        error
    }

    /// Adds a change that could not be stored either.
    pub(crate) fn with_unsaved(mut self, storage: core::Error, unsaved: KeeperClient) -> Self {
        self.0.cause.push_str(
            "; in addition, a change of the configuration is not stored yet: the next call tries again",
        );
        self.0.storage = Some(storage);
        self.0.unsaved = Some(unsaved);
        self
    }

    /// An error of the SDK without its free text, and with Keeper's last reply.
    pub(crate) fn sdk(sdk: &KSMRError, reply: Option<Reply>, location: Location) -> Self {
        let has_no_client = matches!(&reply, Some(Reply::None { cause: NoReply::NoClient, .. }))
            || matches!((sdk, &reply), (KSMRError::SecretManagerCreationError(_), None));
        if has_no_client && let Err(invalid) = http::roots() {
            let mut error = Self::invalid_argument(invalid.variable, &invalid.problem, location);
            // The problem of certificates that no variable names contains the remedy.
            if std::env::var_os(invalid.variable).is_none_or(|value| value.is_empty()) {
                error.0.hint = None;
            }
            return error;
        }
        let kind = match (sdk, &reply) {
            (KSMRError::Throttled(_), _) => ErrorKind::Throttled,
            (_, Some(Reply::None { .. })) => ErrorKind::Unreachable,
            (_, Some(Reply::Refused(refusal))) if refusal.code == "access_denied" => ErrorKind::AccessDenied,
            (_, Some(Reply::Refused(refusal))) if refusal.code == "throttled" => ErrorKind::Throttled,
            _ => ErrorKind::Sdk,
        };
        let mut error = Self::new(kind, location);
        error = match (kind, &reply) {
            (ErrorKind::AccessDenied, Some(Reply::Refused(Refusal { ip_locked: true, .. }))) => error
                .with_cause("Keeper refuses this client: it is locked to the IP address that bound it")
                .with_hint("bind again from this address, or with a token made without the IP lock"),
            (ErrorKind::Unreachable, Some(Reply::None { peer, cause })) => error
                .with_cause(format!("no reply from Keeper at {peer}: {}", cause.words()))
                .with_hint(cause.remedy(peer)),
            (ErrorKind::Sdk, reply) => {
                error.0.hint = sdk_error::hint(sdk, reply.as_ref()).map(str::to_owned);
                error.with_cause(sdk_error::describe(sdk, reply.as_ref()))
            }
            _ => error,
        };
        if let (ErrorKind::AccessDenied | ErrorKind::Throttled, Some(Reply::Refused(refusal))) =
            (kind, &reply)
        {
            let cause = format!("{}; Keeper answered {} {}", error.0.cause, refusal.status, refusal.code);
            error = error.with_cause(cause);
        }
        error.0.reply = reply;
        error
    }

    /// The category of the error, which decides what the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The remedy, if there is one, as shown at the end of the message.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref().or_else(|| self.0.storage.as_ref()?.hint())
    }

    /// The storage that the client uses.
    pub fn location(&self) -> &Location {
        &self.0.location
    }

    /// The storage's error. Set for [`ErrorKind::Storage`] and [`ErrorKind::NotSaved`], and whenever there is an
    /// [`unsaved`](Self::unsaved) change.
    pub fn storage_error(&self) -> Option<&core::Error> {
        self.0.storage.as_ref()
    }

    /// Keeper's code for its refusal, such as `access_denied`, if its last reply was one.
    pub fn code(&self) -> Option<&str> {
        match &self.0.reply {
            Some(Reply::Refused(refusal)) => Some(&refusal.code),
            _ => None,
        }
    }

    /// Returns true if Keeper refuses the client because it is locked to another IP address; with
    /// [`ErrorKind::AccessDenied`].
    pub fn is_ip_locked(&self) -> bool {
        matches!(&self.0.reply, Some(Reply::Refused(refusal)) if refusal.ip_locked)
    }

    /// The client that holds what could not be stored: with [`ErrorKind::NotSaved`], and with another kind if the call
    /// failed as well. Its next call stores it, and so does [`KeeperClient::save`].
    pub fn unsaved(&self) -> Option<&KeeperClient> {
        self.0.unsaved.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.storage {
            // The storage error already names the location.
            Some(storage) if storage.location().is_some() => write!(f, "{}: {storage}", self.0.cause)?,
            Some(storage) => write!(f, "{}: {}: {storage}", self.0.location, self.0.cause)?,
            None => write!(f, "{}: {}", self.0.location, self.0.cause)?,
        }
        match &self.0.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Same line as `Display`, since `main` prints the `Debug` of an error; `{:#?}` lists the fields.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return fmt::Display::fmt(self, f);
        }
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.to_string())
            .finish_non_exhaustive()
    }
}

impl error::Error for Error {}
