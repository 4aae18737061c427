//! Choosing a storage at run time, by URL.

mod env;
mod schemes;

use std::{fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
pub use env::EnvBackend;
use ksm_storage_core::{ConfigStorage, Connect, Error, ErrorKind, OpenOptions, Result, StorageBackend};
pub use schemes::{Parameters, Schemes};

/// The variable that [`open_from_env`] reads.
const VARIABLE: &str = "KSM_STORAGE";
/// Anything longer before the first colon may be secret, so no error shows it.
const MAX_SHOWN: usize = 20;
const EXAMPLES: &str = "`aws-sm:NAME`, `aws-sm://REGION/NAME`, `file:PATH` or `env:NAME`";

/// The URL of a storage: its address and the parameters for opening it.
///
/// | URL | storage | feature |
/// |---|---|---|
/// | `aws-sm:NAME`, `aws-sm://REGION/NAME`, `aws-sm:ARN` | an AWS Secrets Manager secret | `aws` |
/// | `file:PATH`, `file:///PATH` | a private JSON file; the path is percent-decoded | `file` |
/// | `memory:` | a new empty document in memory, for tests | `memory` |
/// | `env:NAME` | a variable with JSON or base64, as in `KSM_CONFIG`; read-only | |
///
/// Parameters follow a question mark: `aws-sm:ksm-config?mode=profile&profile=My%20Mac`. Their values are
/// percent-decoded, and `+` is literal. The address of a secret is never decoded.
///
/// | parameter | schemes | meaning |
/// |---|---|---|
/// | `read_only=true` | all | rejects writes |
/// | `mode=default`, `ec2` or `profile` | `aws-sm` | source of credentials and region; `default` if omitted |
/// | `profile=NAME` | `aws-sm` | the profile; implies `mode=profile` |
/// | `concurrency=optimistic` or `strict` | `aws-sm` | mutual exclusion of writers |
/// | `fallback=REGION` or `REGION,REGION` | `aws-sm` | regions with a replica, used if the secret's own region is down |
/// | `endpoint_url=URL` | `aws-sm` | a VPC endpoint or an emulator |
///
/// The grammar is specific to this crate: general URL parsers reject `aws-sm:arn:…`, and normalize `..` and `+`, which
/// names may contain. Credentials are not allowed in a URL.
///
/// ```
/// use ksm_storage::StorageUrl;
///
/// let url: StorageUrl = "aws-sm://eu-west-1/ksm-config?read_only=true".parse()?;
/// assert_eq!((url.scheme(), url.address()), ("aws-sm", "//eu-west-1/ksm-config"));
/// assert!("aws-sm:ksm-config?read_only".parse::<StorageUrl>().is_err());
/// # Ok::<(), ksm_storage::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct StorageUrl {
    scheme: String,
    address: String,
    /// Decoded; each key occurs once.
    parameters: Vec<(String, String)>,
}

impl StorageUrl {
    /// The part before the first colon, such as `aws-sm`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The part between the first colon and the question mark, unchanged.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl FromStr for StorageUrl {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        let Some((scheme, rest)) = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
            if url.starts_with(['"', '\'']) {
                return Err(invalid("the storage URL is in quotation marks, which are part of the value")
                    .with_hint("remove them: env files and unit files need none"));
            }
            // The text may be a configuration or a token, so the error repeats nothing of it.
            return Err(invalid("the storage URL does not begin with a scheme and a colon")
                .with_hint(format!("expected {EXAMPLES}")));
        };
        let shown = shown(scheme);
        let (address, query) = match rest.split_once('?') {
            Some((address, query)) => (address, Some(query)),
            None => (rest, None),
        };
        if rest.contains('#') {
            return Err(invalid(format!("the {shown} storage URL has a `#`, which has no meaning there"))
                .with_hint("in a path or a parameter, write %23"));
        }
        let mut parameters = Vec::new();
        for (index, parameter) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
            let (key, value) = parse_parameter(parameter).map_err(|problem| {
                invalid(format!("parameter {} of the {shown} storage URL {problem}", index + 1))
                    .with_hint("expected KEY=VALUE, with %25 for a percent sign and %26 for an ampersand")
            })?;
            if parameters.iter().any(|(earlier, _)| *earlier == key) {
                return Err(invalid(format!(
                    "the parameter `{key}` of the {shown} storage URL is given twice"
                ))
                .with_hint("omit one of them"));
            }
            parameters.push((key, value));
        }
        Ok(Self { scheme: scheme.to_owned(), address: address.to_owned(), parameters })
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte))
        // A longer text is not a scheme.
        && text.len() <= 32
}

/// The scheme, for errors.
fn shown(scheme: &str) -> &str {
    if scheme.len() > MAX_SHOWN { "…" } else { scheme }
}

fn parse_parameter(text: &str) -> std::result::Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("has no `=`")?;
    let is_key = !key.is_empty()
        && key.len() <= 32
        && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if !is_key {
        return Err("has a name that is not lower-case letters and underscores");
    }
    let value = percent_decode(value).ok_or("has a `%` that is not followed by two hexadecimal digits")?;
    let value = String::from_utf8(value).map_err(|_| "is not UTF-8")?;
    Ok((key.to_owned(), value))
}

/// Decodes escapes such as `%2F`; `None` if a `%` is not followed by two hexadecimal digits.
fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(decoded)
}

/// Shows the names of parameters without their values.
impl fmt::Debug for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.parameters.iter().map(|(key, _)| key).collect();
        f.debug_struct("StorageUrl")
            .field("scheme", &self.scheme)
            .field("parameters", &keys)
            .finish_non_exhaustive()
    }
}

/// Connects using the built-in [`Schemes`].
#[async_trait]
impl Connect for StorageUrl {
    async fn connect(self: Arc<Self>, options: &OpenOptions) -> Result<Arc<dyn StorageBackend>> {
        Schemes::default().source(&self)?.connect(options).await
    }

    fn replicas(&self) -> Vec<Arc<dyn Connect>> {
        Schemes::default().source(self).map(|source| source.replicas()).unwrap_or_default()
    }
}

/// Opens the storage of a [`StorageUrl`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ksm_storage::Error> {
/// # #[cfg(feature = "memory")] {
/// let storage = ksm_storage::open("memory:").await?;
/// assert!(storage.is_empty());
/// # }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] for a malformed URL or an unknown scheme, [`ErrorKind::Unsupported`] for a scheme whose
/// feature is not enabled, and those of [`ConfigStorageBuilder::open`](crate::ConfigStorageBuilder::open).
pub async fn open(url: &str) -> Result<ConfigStorage> {
    Schemes::default().open(url).await
}

/// Opens the storage named by the variable `KSM_STORAGE`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if it is unset or empty, and those of [`open`].
pub async fn open_from_env() -> Result<ConfigStorage> {
    ConfigStorage::builder(from_env()?).open().await
}

fn from_env() -> Result<Arc<dyn Connect>> {
    match std::env::var(VARIABLE) {
        Ok(url) if !url.is_empty() => {
            let source = url.parse().and_then(|url| Schemes::default().source(&url));
            source.map_err(|error| {
                let hint = error.hint().unwrap_or("it is not the URL of a storage");
                let hint = format!("correct the variable {VARIABLE}: {hint}");
                error.with_hint(hint)
            })
        }
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(invalid(format!("the variable {VARIABLE} is not UTF-8")))
        }
        _ => Err(invalid(format!("the variable {VARIABLE} is not set"))
            .with_hint("set it to the URL of the storage, such as aws-sm:ksm-config")),
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::not_applied(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests;
