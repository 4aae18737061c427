use std::{fmt, str::FromStr};

use crate::{Error, ErrorKind};

macro_rules! config_keys {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A key of the Keeper Secrets Manager configuration.
        ///
        /// All Keeper SDKs know these eleven keys and spell them alike. Other keys of a stored document are preserved,
        /// but have no name here.
        ///
        /// ```
        /// use ksm_storage_core::ConfigKey;
        ///
        /// assert_eq!(ConfigKey::ClientId.as_str(), "clientId");
        /// assert_eq!("clientId".parse::<ConfigKey>()?, ConfigKey::ClientId);
        /// # Ok::<(), ksm_storage_core::Error>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ConfigKey {
            $($(#[$doc])* $variant,)*
        }

        impl ConfigKey {
            /// Every key, in the order of their JSON names.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The key's name in the JSON document.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            pub(crate) fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

// Alphabetical by name: the document is written in this order.
config_keys! {
    /// The application's symmetric key (base64). Present once the client is bound.
    AppKey = "appKey",
    /// Public key of the application's owner (base64), sent on binding.
    AppOwnerPublicKey = "appOwnerPublicKey",
    /// Binding access token of older clients.
    Bat = "bat",
    /// Binding key of older clients.
    BindingKey = "bindingKey",
    /// Identifier of this client (base64), derived from the one-time token.
    ClientId = "clientId",
    /// The one-time token's key part (base64). Deleted once the client is bound.
    ClientKey = "clientKey",
    /// Host name of the Keeper region, such as `keepersecurity.com`.
    Hostname = "hostname",
    /// The client's private key (base64 of PKCS#8 DER).
    PrivateKey = "privateKey",
    /// Public key of an isolated Keeper server (base64), if one is used.
    ServerPublicKey = "serverPublicKey",
    /// ID of the Keeper public key that encrypts requests, a number.
    ServerPublicKeyId = "serverPublicKeyId",
    /// Address of the Keeper server in older clients.
    Url = "url",
}

impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ConfigKey {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if no key has this name. The error does not repeat the name, which may be a value
    /// passed by mistake.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::from_name(name).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "not the name of a configuration key")
                .with_hint("names are case-sensitive, such as `clientId`; ConfigKey::ALL lists them")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_are_sorted() {
        assert_eq!(ConfigKey::ALL.len(), 11);
        for &key in ConfigKey::ALL {
            assert_eq!(key.as_str().parse::<ConfigKey>().unwrap(), key);
            assert_eq!(key.to_string(), key.as_str());
        }
        assert!(ConfigKey::ALL.is_sorted_by_key(|key| key.as_str()));
    }

    #[test]
    fn unknown_name_is_rejected_unquoted() {
        let error = "s3cret".parse::<ConfigKey>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}
