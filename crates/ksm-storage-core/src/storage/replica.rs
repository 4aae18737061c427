//! Loads the document for an opening, possibly from a replica.

use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    backoff::within_deadline,
    reader::{self, parse, timeout},
};
use crate::{
    Clock, ConfigDocument, Connect, Error, ErrorKind, Location, OpenOptions, Result, StorageBackend, Stored,
    Version,
    events::Event,
    sync::{Arc, Mutex},
};

/// Time after which replicas are queried, in case the store fails.
pub(crate) const HEDGE_DELAY: Duration = Duration::from_secs(1);

/// Result of the load for an opening.
pub(super) enum Loaded {
    Store(Stored),
    Replica { version: Version, document: ConfigDocument },
}

/// An opening that is about to load.
pub(super) struct Opening<'a> {
    pub(super) backend: &'a dyn StorageBackend,
    pub(super) source: &'a dyn Connect,
    pub(super) options: &'a OpenOptions,
    pub(super) clock: &'a dyn Clock,
    pub(super) deadline: Duration,
}

impl Opening<'_> {
    /// Loads from the store, or from a replica if the store cannot be reached.
    ///
    /// Replicas are queried once the store has failed or is late, and their replies are used only if it fails. A store
    /// that does not reply counts as failed while there is still time to use a replica.
    pub(super) async fn load(&self) -> Result<Loaded> {
        let replicas = self.source.replicas();
        let history = Mutex::default();
        if replicas.is_empty() {
            let stored = reader::load(self.backend, self.clock, &history, self.deadline).await?;
            return Ok(Loaded::Store(stored));
        }
        let now = self.clock.now();
        let limit = now.saturating_add(patience(self.deadline.saturating_sub(now)));
        let mut store = pin!(reader::load(self.backend, self.clock, &history, limit));
        let mut delay = pin!(self.clock.alarm(now.saturating_add(HEDGE_DELAY)));
        let mut replica = pin!(self.load_first(replicas));
        let (mut failure, mut is_late, mut copy) = (None, false, None);
        let ended = poll_fn(|context: &mut Context<'_>| {
            if failure.is_none() {
                match store.as_mut().poll(context) {
                    Poll::Ready(Err(error)) if is_outage(&error) => failure = Some(error),
                    Poll::Ready(loaded) => return Poll::Ready(Err(loaded)),
                    Poll::Pending => {}
                }
            }
            is_late = is_late || delay.as_mut().poll(context).is_ready();
            if copy.is_none()
                && (is_late || failure.is_some())
                && let Poll::Ready(loaded) = replica.as_mut().poll(context)
            {
                copy = Some(loaded);
            }
            if failure.is_none() || copy.is_none() {
                return Poll::Pending;
            }
            Poll::Ready(Ok((failure.take(), copy.take())))
        });
        let (error, copy) = match ended.await {
            Err(loaded) => return loaded.map(Loaded::Store),
            Ok((error, copy)) => (error, copy.unwrap_or(Err((ErrorKind::Timeout, None)))),
        };
        let error = error.unwrap_or_else(|| timeout("the store did not answer"));
        let (replica, version, document) =
            copy.map_err(|(kind, replica)| error.clone().and_of_replica(kind, replica))?;
        Event::Replica { replica: &replica, error: &error }.log(|| self.backend.location());
        Ok(Loaded::Replica { version, document })
    }

    /// The document of the first replica that has one, or the failure of the last replica.
    async fn load_first(
        &self,
        replicas: Vec<Arc<dyn Connect>>,
    ) -> Result<(Location, Version, ConfigDocument), (ErrorKind, Option<Location>)> {
        let mut failure = (ErrorKind::Timeout, None);
        let options = OpenOptions { create: false, read_only: true, ..self.options.clone() };
        for replica in replicas {
            let mut location = None;
            let load = async {
                let backend = replica.connect(&options).await?;
                let location = location.insert(backend.location()).clone();
                let stored = backend.load().await?;
                Ok::<_, Error>((location, stored.version().clone(), parse(&stored)?))
            };
            failure = match within_deadline(self.clock, self.deadline, load).await {
                Some(Ok(found)) => return Ok(found),
                Some(Err(error)) => (error.kind(), location.or_else(|| error.location().cloned())),
                None => (ErrorKind::Timeout, location),
            };
        }
        Err(failure)
    }
}

/// The part of an opening's time in which the store must reply. The rest is for a replica.
pub(crate) fn patience(left: Duration) -> Duration {
    left / 3 * 2
}

/// Returns true if the store could not be reached, as opposed to refusing or reporting absence.
fn is_outage(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}
