use std::{error, fmt};

use keeper_secrets_manager_core::KSMRError;
use ksm_storage_core::{self as core, Location};

// The client's calls return this error, which hands the client back: the one cycle of modules here.
use crate::{KeeperClient, post::Reply};

/// The result of a call on a [`KeeperClient`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The category of an error, by what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Keeper refuses this client: it was removed, its application was, or its address is not allowed. If the
    /// configuration was replaced meanwhile, [`KeeperClient::reload`] takes it over.
    AccessDenied,
    /// The token has not the form of one. Copy it again.
    InvalidToken,
    /// A change of the configuration could not be stored. It is kept: see [`Error::unsaved`].
    NotSaved,
    /// The SDK panicked. What it had changed is stored, or kept: see [`Error::unsaved`].
    Panicked,
    /// No Tokio runtime on this thread, or it ended meanwhile. Call from one, or use
    /// [`blocking::KeeperClient`](crate::blocking::KeeperClient).
    Runtime,
    /// The SDK, or Keeper's service, refused the call: see [`Error::code`].
    Sdk,
    /// The storage failed: see [`Error::storage_error`].
    Storage,
    /// Keeper asks to slow down. Try again later.
    Throttled,
    /// The stored configuration belongs to another token. Leave the token away to go on with it, or
    /// [`rebind`](crate::KeeperClientBuilder::rebind) to replace it.
    TokenMismatch,
    /// Keeper does not accept the token, or not any more: it was used, or has expired. Make a new one, and
    /// [`rebind`](crate::KeeperClientBuilder::rebind) with it.
    TokenSpent,
    /// The stored configuration is not bound, and there is no token to bind it with.
    Unbound,
    /// No answer from Keeper. What was stored before is good: try again.
    Unreachable,
}

/// Why a call failed.
///
/// `Display` is one line for a log, with what to do about it. Neither it nor `Debug` shows a configuration value, a
/// token, or what the SDK or Keeper's service said in free text: both quote identifiers and replies.
///
/// ```
/// use ksm_storage_keeper::{Error, ErrorKind};
///
/// fn advice(error: &Error) -> String {
///     match (error.kind(), error.storage_error()) {
///         (ErrorKind::Unreachable | ErrorKind::Throttled, _) => "try again later".to_owned(),
///         (_, Some(storage)) => format!("see to the storage: {:?}", storage.kind()),
///         _ => error.to_string(),
///     }
/// }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    location: Location,
    detail: String,
    reply: Option<Reply>,
    storage: Option<core::Error>,
    unsaved: Option<KeeperClient>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, location: Location) -> Self {
        let detail = match kind {
            ErrorKind::AccessDenied => {
                "Keeper refuses this client; see whether it was removed from its application or its address is not \
                 allowed, and reload if the configuration was replaced"
            }
            ErrorKind::InvalidToken => "not a one-time token",
            ErrorKind::NotSaved => {
                "a change of the configuration could not be stored; keep the client and call save, or the change is lost"
            }
            ErrorKind::Panicked => "the SDK panicked",
            ErrorKind::Runtime => {
                "no Tokio runtime on this thread, or it ended; call it within one, or use blocking::KeeperClient"
            }
            ErrorKind::Sdk => "the call failed",
            ErrorKind::Storage => "the storage failed",
            ErrorKind::Throttled => "Keeper asks to slow down; try again later",
            ErrorKind::TokenMismatch => {
                "the stored configuration belongs to another one-time token; leave the token away to go on with it, or \
                 use rebind to replace it"
            }
            ErrorKind::TokenSpent => {
                "Keeper does not accept the one-time token, or not any more; make a new one and use rebind"
            }
            ErrorKind::Unbound => {
                "what is stored is not bound to Keeper, and no one-time token was given; give one to the builder"
            }
            ErrorKind::Unreachable => {
                "no answer from Keeper; see to the network, the proxy and the host name, and try again with the same token"
            }
        };
        Self(Box::new(Inner {
            kind,
            location,
            detail: detail.to_owned(),
            reply: None,
            storage: None,
            unsaved: None,
        }))
    }

    pub(crate) fn invalid_token(location: Location, why: &str) -> Self {
        let mut error = Self::new(ErrorKind::InvalidToken, location);
        error.0.detail = format!("not a one-time token: {why}");
        error
    }

    pub(crate) fn storage(storage: core::Error, location: Location) -> Self {
        let mut error = Self::new(ErrorKind::Storage, location);
        error.0.storage = Some(storage);
        error
    }

    pub(crate) fn not_saved(storage: core::Error, unsaved: KeeperClient) -> Self {
        let mut error = Self::new(ErrorKind::NotSaved, unsaved.location());
        error.0.storage = Some(storage);
        error.0.unsaved = Some(unsaved);
        error
    }

    /// The same error, of a call after which a change could not be stored either.
    pub(crate) fn with_unsaved(mut self, storage: core::Error, unsaved: KeeperClient) -> Self {
        self.0.detail.push_str(
            "; besides, a change of the configuration is not stored yet, the next call tries again",
        );
        self.0.storage = Some(storage);
        self.0.unsaved = Some(unsaved);
        self
    }

    /// The facts of an error of the SDK without its free text, and Keeper's last answer.
    pub(crate) fn sdk(sdk: &KSMRError, reply: Option<Reply>, location: Location) -> Self {
        let kind = match (sdk, &reply) {
            (KSMRError::Throttled(_), _) => ErrorKind::Throttled,
            (_, Some(Reply::None)) => ErrorKind::Unreachable,
            (_, Some(Reply::Refused { code, .. })) if code == "access_denied" => ErrorKind::AccessDenied,
            (_, Some(Reply::Refused { code, .. })) if code == "throttled" => ErrorKind::Throttled,
            _ => ErrorKind::Sdk,
        };
        let mut error = Self::new(kind, location);
        if kind == ErrorKind::Sdk {
            let answered = match &reply {
                Some(Reply::Refused { status, code }) => format!("; Keeper answered {status} {code}"),
                _ => String::new(),
            };
            let hint = hint(sdk, reply.as_ref()).map(|hint| format!("; {hint}")).unwrap_or_default();
            error.0.detail = format!("the SDK reports {}{answered}{hint}", variant(sdk));
        }
        error.0.reply = reply;
        error
    }

    /// The category of an error, by what the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The storage that the client works on.
    pub fn location(&self) -> &Location {
        &self.0.location
    }

    /// The storage's error; with [`ErrorKind::Storage`], [`ErrorKind::NotSaved`], and wherever there is an
    /// [`unsaved`](Self::unsaved) change.
    pub fn storage_error(&self) -> Option<&core::Error> {
        self.0.storage.as_ref()
    }

    /// Keeper's name for its refusal, such as `access_denied`, where its last answer was one.
    pub fn code(&self) -> Option<&str> {
        match &self.0.reply {
            Some(Reply::Refused { code, .. }) => Some(code),
            _ => None,
        }
    }

    /// The client that holds what could not be stored: with [`ErrorKind::NotSaved`], and with another kind if the call
    /// failed as well. Its next call stores it, and so does [`KeeperClient::save`].
    pub fn unsaved(&self) -> Option<&KeeperClient> {
        self.0.unsaved.as_ref()
    }
}

fn variant(error: &KSMRError) -> String {
    // `Debug` begins with the variant's name; what follows may quote anything.
    let debug = format!("{error:?}");
    debug.chars().take_while(char::is_ascii_alphanumeric).collect()
}

fn hint(error: &KSMRError, reply: Option<&Reply>) -> Option<&'static str> {
    match (error, reply) {
        (_, Some(Reply::Refused { code, .. })) if code == "key" => {
            Some("Keeper does not know the server's public key that the configuration or the builder names")
        }
        (_, Some(Reply::Refused { code, .. })) if code == "invalid_client_version" => {
            Some("Keeper does not accept this version of the SDK")
        }
        (KSMRError::ConfigurationError(_), None) => Some("check the proxy's address"),
        (KSMRError::RecordNotFoundError(_), _) => Some("see whether the application may read the record"),
        _ => None,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.location, self.0.detail)?;
        match &self.0.storage {
            Some(storage) => write!(f, ": {storage}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.to_string())
            .finish_non_exhaustive()
    }
}

impl error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_sdk_is_told_by_its_kind_or_by_its_name_and_keepers_code() {
        let told = |reply| {
            let sdk = KSMRError::CustomError("s3cret".to_owned());
            let error = Error::sdk(&sdk, Some(reply), Location::new("memory", "1"));
            (error.kind(), error.to_string())
        };
        let refused = Reply::Refused { status: 400, code: "bad_request".to_owned() };
        let text = "memory://1: the SDK reports CustomError; Keeper answered 400 bad_request";
        assert_eq!(told(refused), (ErrorKind::Sdk, text.to_owned()));
        let (kind, text) = told(Reply::None);
        assert!(kind == ErrorKind::Unreachable && text.contains("no answer from Keeper"), "{text}");
    }
}
