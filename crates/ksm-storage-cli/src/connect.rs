//! The connection to AWS, kept so that a command can report where it writes, and with which identity.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use ksm_storage::{
    Connect, Error, OpenOptions, Schemes, StorageBackend,
    aws::{AwsSecretBackend, AwsStorageBuilder, Connection},
};

use crate::output::Output;

/// STS may be unreachable even if Secrets Manager is reachable, as in a network with a single VPC endpoint.
const PATIENCE: Duration = Duration::from_secs(2);

/// The backend of a secret, once connected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found(Arc<OnceLock<AwsSecretBackend>>);

impl Found {
    /// The built-in schemes; `aws-sm` also records its backend here.
    pub(crate) fn schemes(&self) -> Schemes {
        let found = self.clone();
        Schemes::default().with("aws-sm", move |address, parameters| {
            let builder = Schemes::aws(address, parameters)?;
            Ok(Arc::new(Kept { builder, found: found.clone() }))
        })
    }

    pub(crate) fn backend(&self) -> Option<&AwsSecretBackend> {
        self.0.get()
    }

    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.backend()?.connection()
    }

    /// Reports where a command writes, and with which identity. STS need not be reachable.
    pub(crate) async fn announce(&self, output: Output) -> Writer {
        let Some(connection) = self.connection().filter(|_| output.names_writer()) else {
            return Writer::default();
        };
        let identity = tokio::time::timeout(PATIENCE, connection.identity()).await;
        let identity = match identity {
            Ok(Ok(identity)) => Ok(identity.to_string()),
            Ok(Err(error)) => Err(error.kind().as_str()),
            Err(_) => Err("STS does not answer"),
        };
        let region = connection.region().to_string();
        let shown = identity.clone().unwrap_or_else(|reason| format!("not known ({reason})"));
        output.remark(&format!("region: {region}, identity: {shown}"));
        Writer { region: Some(region), identity: identity.ok() }
    }
}

/// Region and identity of a command that writes, as far as they are known: of AWS alone.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) region: Option<String>,
    pub(crate) identity: Option<String>,
}

#[derive(Debug)]
struct Kept {
    builder: AwsStorageBuilder,
    found: Found,
}

#[async_trait]
impl Connect for Kept {
    async fn connect(self: Arc<Self>, options: &OpenOptions) -> Result<Arc<dyn StorageBackend>, Error> {
        let builder = self.builder.clone().deadline(options.deadline);
        let builder = if options.create { builder.create_if_missing() } else { builder };
        let backend = builder.open_backend().await?;
        // A reopened handle keeps the first backend, which has the same connection settings.
        let _ = self.found.0.set(backend.clone());
        Ok(Arc::new(backend))
    }

    fn replicas(&self) -> Vec<Arc<dyn Connect>> {
        self.builder.replicas()
    }
}
