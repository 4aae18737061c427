//! Checks that apply to every source of credentials.

use std::{
    error, fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use aws_config::identity::IdentityCache;
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        identity::{
            Identity, IdentityCacheLocation, IdentityCachePartition, IdentityFuture, ResolveCachedIdentity,
            ResolveIdentity, SharedIdentityCache, SharedIdentityResolver,
        },
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{config_bag::ConfigBag, timeout::TimeoutConfig};
use ksm_storage_core::catch_panic;
use tokio::time::timeout;

use crate::{cause::chain, silence::without_tracing, source::check, thread::SingleThread};

/// Credentials are renewed this long before they expire: earlier than the SDK would.
pub(crate) const MARGIN: Duration = Duration::from_secs(15);

/// Timers overflow on huge values.
const LONGEST: Duration = Duration::from_hours(24);

/// A source of credentials that neither panics nor returns values that a header cannot hold.
pub(crate) struct Guarded {
    /// Credentials for the next request.
    next: Mutex<Option<Credentials>>,
    /// The expiry of the most recent credentials. Locked while they are being renewed.
    expiry: tokio::sync::Mutex<Option<SystemTime>>,
    source: SharedCredentialsProvider,
}

impl Guarded {
    pub(crate) fn new(source: SharedCredentialsProvider) -> Self {
        Self { next: Mutex::default(), expiry: tokio::sync::Mutex::default(), source }
    }

    /// Obtains credentials, which the next request will use.
    pub(crate) async fn prime(&self) -> Result<(), CredentialsError> {
        self.prepare(&mut *self.expiry.lock().await).await
    }

    /// Renews credentials that are about to expire. During a request, the time limit of one attempt would end a slow
    /// source before it can report itself.
    pub(crate) async fn renew(&self) -> Result<(), CredentialsError> {
        let mut expiry = self.expiry.lock().await;
        match *expiry {
            Some(end) if end < SystemTime::now() + MARGIN && self.next().is_none() => {
                self.prepare(&mut expiry).await
            }
            _ => Ok(()),
        }
    }

    async fn prepare(&self, expiry: &mut Option<SystemTime>) -> Result<(), CredentialsError> {
        let credentials = self.obtain().await?;
        *expiry = credentials.expiry();
        *self.next() = Some(credentials);
        Ok(())
    }

    fn next(&self) -> MutexGuard<'_, Option<Credentials>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn obtain(&self) -> Result<Credentials, CredentialsError> {
        let next = self.next().take();
        if let Some(credentials) = next {
            return Ok(credentials);
        }
        // The call itself may panic too.
        let call = async { self.source.provide_credentials().await };
        let credentials = catch_panic("credential resolution", without_tracing(call))
            .await
            .map_err(CredentialsError::unhandled)??;
        check(&credentials).map_err(CredentialsError::invalid_configuration)?;
        Ok(credentials)
    }
}

impl ProvideCredentials for Guarded {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.obtain())
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}

/// A cache of credentials that checks what its source returns. Clients that share a cache share its content.
#[derive(Debug)]
pub(crate) struct CheckedCache {
    cache: SharedIdentityCache,
    /// For a source of the caller's own, which may block.
    thread: Option<SingleThread>,
}

impl CheckedCache {
    /// The cache of a client whose credentials come from `source`, or from the caller's own source in `thread`.
    pub(crate) fn new(
        cache: Option<SharedIdentityCache>,
        source: Option<&Guarded>,
        thread: SingleThread,
    ) -> Self {
        let thread = source.is_none().then_some(thread);
        Self { cache: cache.unwrap_or_else(|| IdentityCache::lazy().build()), thread }
    }
}

impl ResolveCachedIdentity for CheckedCache {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        config: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        let checked = SharedIdentityResolver::new(Checked { resolver, thread: self.thread.clone() });
        // The time limit of an attempt would end a slow source as if the service had not replied.
        let attempt = config.load::<TimeoutConfig>().and_then(TimeoutConfig::operation_attempt_timeout);
        let limit = attempt.map_or(LONGEST, |attempt| attempt / 10 * 9).min(LONGEST);
        IdentityFuture::new(async move {
            let outcome =
                timeout(limit, self.cache.resolve_cached_identity(checked, components, config)).await;
            let identity = outcome.map_err(|_| CredentialsError::provider_timed_out(limit))?;
            // The cache itself fails for a single reason, and without a type for it.
            identity.map_err(|error| {
                let is_known = chain(&*error).any(<dyn error::Error>::is::<CredentialsError>);
                if is_known { error } else { CredentialsError::provider_timed_out(Duration::ZERO).into() }
            })
        })
    }
}

#[derive(Debug)]
struct Checked {
    resolver: SharedIdentityResolver,
    thread: Option<SingleThread>,
}

impl ResolveIdentity for Checked {
    fn resolve_identity<'a>(
        &'a self,
        components: &'a RuntimeComponents,
        config: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        IdentityFuture::new(async move {
            let identity = match &self.thread {
                None => resolved(&self.resolver, components, config).await?,
                Some(thread) => {
                    let (resolver, components) = (self.resolver.clone(), components.clone());
                    let call = async move {
                        // The bag cannot be shared with another thread; providers of credentials do not read it.
                        without_tracing(resolved(&resolver, &components, &ConfigBag::base())).await
                    };
                    thread.poll(call).await.map_err(CredentialsError::unhandled)??
                }
            };
            if let Some(credentials) = identity.data::<Credentials>() {
                check(credentials).map_err(CredentialsError::invalid_configuration)?;
            }
            Ok(identity)
        })
    }

    fn fallback_on_interrupt(&self) -> Option<Identity> {
        self.resolver.fallback_on_interrupt()
    }

    fn cache_location(&self) -> IdentityCacheLocation {
        self.resolver.cache_location()
    }

    fn cache_partition(&self) -> Option<IdentityCachePartition> {
        Some(self.resolver.cache_partition())
    }
}

async fn resolved(
    resolver: &SharedIdentityResolver,
    components: &RuntimeComponents,
    config: &ConfigBag,
) -> Result<Identity, BoxError> {
    // The call itself may panic too.
    let call = async { resolver.resolve_identity(components, config).await };
    catch_panic("credential resolution", call).await.map_err(CredentialsError::unhandled)?
}
