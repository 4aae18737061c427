//! The schemes of storage URLs.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
#[cfg(feature = "aws-minimal")]
use ksm_storage_aws::AwsStorageBuilder;
use ksm_storage_core::{
    Capabilities, ConfigStorage, Connect, Error, ErrorKind, Location, OpenOptions, Payload, Result,
    StorageBackend, StoreOutcome, Stored, Version,
};

use super::{EnvBackend, StorageUrl, invalid, shown};

type Source = Arc<dyn Fn(&str, &mut Parameters) -> Result<Arc<dyn Connect>> + Send + Sync>;

/// The schemes that a program accepts in storage URLs, and the source that each opens.
///
/// The default contains those of this crate's enabled features. A program adds its own with [`with`](Self::with);
/// nothing is registered globally.
///
/// ```
/// # #[cfg(feature = "memory")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ksm_storage::Error> {
/// use std::sync::Arc;
///
/// use ksm_storage::{Schemes, memory::MemoryBackend};
///
/// let schemes = Schemes::default().with("fixed", |address, parameters| {
///     let hostname = parameters.take("hostname").unwrap_or_else(|| address.to_owned());
///     Ok(Arc::new(MemoryBackend::from_config(format!(r#"{{"hostname":"{hostname}"}}"#))))
/// });
/// let storage = schemes.open("fixed:keepersecurity.eu").await?;
/// assert!(schemes.open("fixed:?host=keepersecurity.eu").await.is_err(), "not taken, so unknown");
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "memory"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Schemes {
    pub(super) sources: BTreeMap<String, Source>,
}

/// The remaining parameters of a storage URL.
#[derive(Debug)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Removes a parameter and returns its decoded value. A parameter that nobody takes is an error in the URL.
    pub fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(own, _)| own == key)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Like [`take`](Self::take), for a parameter with a fixed set of values.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for any other value, which is not repeated in the error.
    pub fn take_one_of<T: Copy>(&mut self, key: &str, values: &[(&str, T)]) -> Result<Option<T>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let known = values.iter().find(|(name, _)| *name == value);
        known.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let names: Vec<_> = values.iter().map(|(name, _)| format!("`{name}`")).collect();
            invalid(format!("the parameter `{key}` of the storage URL has an unknown value"))
                .with_hint(format!("expected {}", names.join(" or ")))
        })
    }

    fn take_read_only(&mut self) -> Result<bool> {
        Ok(self.take_one_of("read_only", &[("true", true), ("false", false)])?.unwrap_or(false))
    }

    /// Rejects parameters that nobody has taken.
    fn finish(self, scheme: &str) -> Result<()> {
        match self.0.first() {
            Some((key, _)) => {
                Err(invalid(format!("the {scheme} storage URL has an unknown parameter `{key}`"))
                    .with_hint("correct or omit it"))
            }
            None => Ok(()),
        }
    }
}

/// The built-in schemes, with the features that they need.
const BUILT_IN: [(&str, &str); 4] = [("aws-sm", "aws"), ("env", ""), ("file", "file"), ("memory", "memory")];

impl Default for Schemes {
    fn default() -> Self {
        let schemes = Self { sources: BTreeMap::new() }.with("env", env);
        #[cfg(feature = "aws-minimal")]
        let schemes = schemes.with("aws-sm", aws);
        #[cfg(feature = "file")]
        let schemes = schemes.with("file", file);
        #[cfg(feature = "memory")]
        let schemes = schemes.with("memory", memory);
        schemes
    }
}

impl Schemes {
    /// Adds or replaces a scheme. `source` receives the address and the parameters of a URL, and takes those that it
    /// knows.
    #[must_use]
    pub fn with(
        mut self,
        scheme: &str,
        source: impl Fn(&str, &mut Parameters) -> Result<Arc<dyn Connect>> + Send + Sync + 'static,
    ) -> Self {
        self.sources.insert(scheme.to_owned(), Arc::new(source));
        self
    }

    /// Returns the source named by the URL, for [`ConfigStorage::builder`], without connecting.
    ///
    /// # Errors
    /// Those of [`open`](crate::open) that concern the URL.
    pub fn source(&self, url: &StorageUrl) -> Result<Arc<dyn Connect>> {
        let source = self.sources.get(&url.scheme).ok_or_else(|| self.unknown(&url.scheme))?;
        let mut parameters = Parameters(url.parameters.clone());
        let read_only = parameters.take_read_only()?;
        let connect = source(&url.address, &mut parameters)?;
        parameters.finish(&url.scheme)?;
        Ok(if read_only { Arc::new(Frozen(connect)) } else { connect })
    }

    /// The source of the scheme `aws-sm`, to register a scheme of that name with settings that URLs cannot express.
    ///
    /// ```
    /// use std::{sync::Arc, time::Duration};
    ///
    /// use ksm_storage::Schemes;
    ///
    /// let schemes = Schemes::default().with("aws-sm", |address, parameters| {
    ///     Ok(Arc::new(Schemes::aws(address, parameters)?.attempt_timeout(Duration::from_secs(1))))
    /// });
    /// ```
    ///
    /// # Errors
    /// Those of [`open`](crate::open) that concern the URL.
    #[cfg(feature = "aws-minimal")]
    pub fn aws(address: &str, parameters: &mut Parameters) -> Result<AwsStorageBuilder> {
        use ksm_storage_aws::{AwsSecretStorage, Concurrency, SecretId};

        #[derive(Clone, Copy, PartialEq)]
        enum Mode {
            Default,
            Ec2,
            Profile,
        }

        if address.is_empty() {
            return Err(invalid("the aws-sm storage URL names no secret")
                .with_hint("expected `aws-sm:NAME`, `aws-sm://REGION/NAME` or `aws-sm:ARN`"));
        }
        // The backend recognizes the form with a region by its scheme.
        let key = if address.starts_with("//") { format!("aws-sm:{address}") } else { address.to_owned() };
        key.parse::<SecretId>()?;
        let modes = [("default", Mode::Default), ("ec2", Mode::Ec2), ("profile", Mode::Profile)];
        let mode = parameters.take_one_of("mode", &modes)?;
        let builder = match (mode, parameters.take("profile")) {
            (None | Some(Mode::Profile), Some(profile)) => {
                AwsSecretStorage::from_profile_config(key, profile)
            }
            (Some(Mode::Profile), None) => {
                return Err(invalid("the aws-sm storage URL has mode=profile and no profile")
                    .with_hint("add profile=NAME"));
            }
            (Some(_), Some(_)) => {
                return Err(invalid("the aws-sm storage URL has a profile, and a mode that uses none")
                    .with_hint("omit one of them"));
            }
            (Some(Mode::Ec2), None) => AwsSecretStorage::from_ec2_instance_config(key),
            (None | Some(Mode::Default), None) => AwsSecretStorage::from_default_config(key),
        };
        let concurrency = [("optimistic", Concurrency::Optimistic), ("strict", Concurrency::Strict)];
        let builder =
            builder.concurrency(parameters.take_one_of("concurrency", &concurrency)?.unwrap_or_default());
        let fallback = parameters.take("fallback").unwrap_or_default();
        let builder = builder.fallback_regions(fallback.split(','));
        Ok(match parameters.take("endpoint_url") {
            Some(url) => builder.endpoint_url(url),
            None => builder,
        })
    }

    /// Opens the storage that a URL names.
    ///
    /// # Errors
    /// Those of [`open`](crate::open).
    pub async fn open(&self, url: &str) -> Result<ConfigStorage> {
        let source = self.source(&url.parse()?)?;
        ConfigStorage::builder(source).open().await
    }

    fn unknown(&self, scheme: &str) -> Error {
        if let Some((_, feature)) = BUILT_IN.iter().find(|(name, _)| *name == scheme) {
            let message = format!("this program was built without storages of the scheme `{scheme}`");
            return Error::not_applied(ErrorKind::Unsupported, message)
                .with_hint(format!("enable the feature `{feature}` of ksm-storage"));
        }
        if scheme == "arn" {
            return invalid("an ARN alone is not a storage URL")
                .with_hint("write `aws-sm:` in front of it, as in aws-sm:arn:aws:secretsmanager:…");
        }
        let known: Vec<_> = self.sources.keys().map(|name| format!("`{name}`")).collect();
        invalid(format!("no storage has the scheme `{}`", shown(scheme)))
            .with_hint(format!("known schemes: {}", known.join(", ")))
    }
}

impl fmt::Debug for Schemes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.sources.keys()).finish()
    }
}

fn env(name: &str, _: &mut Parameters) -> Result<Arc<dyn Connect>> {
    // Unprintable characters and backslashes would be displayed differently.
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=' && byte != b'\\') {
        return Err(
            invalid("the env storage URL does not name a variable").with_hint("expected `env:KSM_CONFIG`")
        );
    }
    Ok(Arc::new(EnvBackend::new(name)))
}

#[cfg(feature = "memory")]
fn memory(address: &str, _: &mut Parameters) -> Result<Arc<dyn Connect>> {
    if !address.is_empty() {
        return Err(invalid("the memory storage URL has an address; every `memory:` is a new storage")
            .with_hint("expected `memory:`"));
    }
    Ok(Arc::new(ksm_storage_memory::MemoryBackend::from_config("{}")))
}

#[cfg(feature = "file")]
fn file(address: &str, _: &mut Parameters) -> Result<Arc<dyn Connect>> {
    let path = match address.strip_prefix("//") {
        Some(path) if !path.starts_with('/') => {
            return Err(invalid("the file storage URL names a host")
                .with_hint("expected `file:PATH` or `file:///PATH`"));
        }
        Some(path) => path,
        None => address,
    };
    if path == "~" || path.starts_with("~/") {
        return Err(invalid("the path of the file storage URL begins with ~, which only a shell replaces")
            .with_hint("write the whole path, or ./~ for a folder of that name"));
    }
    let bytes = super::percent_decode(path).ok_or_else(|| {
        invalid("the path of the file storage URL has a `%` that is not followed by two hexadecimal digits")
            .with_hint("write %25 for a percent sign")
    })?;
    #[cfg(unix)]
    let path = std::os::unix::ffi::OsStringExt::from_vec(bytes);
    #[cfg(not(unix))]
    let path =
        String::from_utf8(bytes).map_err(|_| invalid("the path of the file storage URL is not UTF-8"))?;
    let path: std::ffi::OsString = path;
    if path.is_empty() {
        return Err(
            invalid("the file storage URL has no path").with_hint("expected `file:PATH` or `file:///PATH`")
        );
    }
    Ok(Arc::new(ksm_storage_file::FileBackend::new(path)))
}

#[cfg(feature = "aws-minimal")]
fn aws(address: &str, parameters: &mut Parameters) -> Result<Arc<dyn Connect>> {
    Ok(Arc::new(Schemes::aws(address, parameters)?))
}

/// A source whose backend rejects writes.
#[derive(Debug)]
struct Frozen(Arc<dyn Connect>);

#[async_trait]
impl Connect for Frozen {
    async fn connect(self: Arc<Self>, options: &OpenOptions) -> Result<Arc<dyn StorageBackend>> {
        Ok(Arc::new(ReadOnly(Arc::clone(&self.0).connect(options).await?)))
    }

    fn replicas(&self) -> Vec<Arc<dyn Connect>> {
        self.0.replicas()
    }
}

#[derive(Debug)]
struct ReadOnly(Arc<dyn StorageBackend>);

#[async_trait]
impl StorageBackend for ReadOnly {
    fn location(&self) -> Location {
        self.0.location()
    }

    fn capabilities(&self) -> Capabilities {
        let (cause, remedy) = ("the storage URL says read_only=true", "omit that parameter to write");
        self.0.capabilities().read_only(cause, remedy)
    }

    async fn load(&self) -> Result<Stored> {
        self.0.load().await
    }

    async fn confirm(&self, version: &Version) -> Result<bool> {
        self.0.confirm(version).await
    }

    async fn store(&self, _: &Version, _: &Payload) -> Result<StoreOutcome> {
        self.capabilities().check_write().map(|()| StoreOutcome::conflict(None))
    }
}

#[cfg(feature = "aws-minimal")]
impl StorageUrl {
    /// Returns the settings of the secret named by the URL, for operations that only this backend has.
    ///
    /// ```no_run
    /// # async fn history() -> Result<(), ksm_storage::Error> {
    /// use ksm_storage::StorageUrl;
    ///
    /// let url: StorageUrl = "aws-sm://eu-west-1/ksm-config".parse()?;
    /// for version in url.aws()?.open_backend().await?.versions().await? {
    ///     println!("{} {:?}", version.version, version.labels);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the scheme of the URL is not `aws-sm`, and those of [`open`](crate::open) that
    /// concern the URL.
    pub fn aws(&self) -> Result<AwsStorageBuilder> {
        if self.scheme != "aws-sm" {
            let message = format!("a storage of the scheme `{}` is not AWS Secrets Manager", self.scheme);
            return Err(Error::not_applied(ErrorKind::Unsupported, message));
        }
        let mut parameters = Parameters(self.parameters.clone());
        let read_only = parameters.take_read_only()?;
        let builder = Schemes::aws(&self.address, &mut parameters)?;
        parameters.finish(&self.scheme)?;
        Ok(if read_only { builder.read_only() } else { builder })
    }
}
