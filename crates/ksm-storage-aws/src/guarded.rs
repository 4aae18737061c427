//! What every source of credentials goes through.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use ksm_storage_core::catch_panic;

use crate::{sdk::without_tracing, source::check};

/// A source of credentials that neither panics nor hands out what no header can hold.
pub(crate) struct Guarded {
    /// Credentials that were obtained when opening.
    first: Mutex<Option<Credentials>>,
    source: SharedCredentialsProvider,
}

impl Guarded {
    pub(crate) fn new(source: SharedCredentialsProvider) -> Self {
        Self { first: Mutex::new(None), source }
    }

    /// Obtains the first credentials, which the first request will use.
    pub(crate) async fn prime(&self) -> Result<(), CredentialsError> {
        let credentials = self.obtain().await?;
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = Some(credentials);
        Ok(())
    }

    async fn obtain(&self) -> Result<Credentials, CredentialsError> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(credentials) = first {
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
