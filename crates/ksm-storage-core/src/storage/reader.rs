//! Loads the document, and distinguishes a stale read from a rollback.

use std::{collections::VecDeque, time::Duration};

use tracing::Instrument;

use super::backoff::{pause, within_deadline};
use crate::{
    Clock, ConfigDocument, Error, ErrorKind, Outcome, Result, StorageBackend, Stored, Version,
    events::{Event, Step},
    measure,
};

/// Versions that a handle family remembers.
pub(crate) const REMEMBERED: usize = 16;

/// The latest versions that a handle family has seen, with the current one last.
#[derive(Debug, Default)]
pub(super) struct History {
    versions: VecDeque<Version>,
    /// True if a newer version than the last one exists, but has not been loaded yet.
    is_outdated: bool,
}

impl History {
    /// Records that `version` is no longer current.
    pub(super) fn outdate(&mut self, version: &Version) {
        self.note(version);
        self.is_outdated = true;
    }

    /// Records `version` as the current one.
    pub(super) fn note(&mut self, version: &Version) {
        self.is_outdated = false;
        if self.versions.back() == Some(version) {
            return;
        }
        self.versions.retain(|seen| seen != version);
        self.versions.push_back(version.clone());
        if self.versions.len() > REMEMBERED {
            self.versions.pop_front();
        }
    }

    /// Returns true if `version` was current before the present one.
    pub(super) fn is_earlier(&self, version: &Version) -> bool {
        (self.is_outdated || self.versions.back() != Some(version)) && self.versions.contains(version)
    }
}

/// Loads the stored document. A version older than the current one is read again, until another version appears or the
/// backend confirms it; then it is a rollback. Reads by the same route prove nothing, however often they agree.
pub(super) async fn load(
    backend: &dyn StorageBackend,
    clock: &dyn Clock,
    history: &crate::sync::Mutex<History>,
    deadline: Duration,
) -> Result<Stored> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let started = clock.now();
        let span = Step::Load { location: &|| backend.location(), attempt }.span();
        let stored = read(clock, deadline, backend.load().instrument(span)).await;
        let elapsed = clock.now().saturating_sub(started);
        measure::load(|| backend.location(), elapsed, &stored);
        let stored = stored?;
        let version = stored.version();
        Event::Load { attempt, version, elapsed }.log(|| backend.location());
        let earlier = crate::sync::lock(history).is_earlier(version);
        if !earlier {
            return Ok(stored);
        }
        if confirm(backend, clock, version, deadline).await? {
            Event::Rollback { version }.log(|| backend.location());
            return Ok(stored);
        }
        let wait = clock.sleep(pause(clock, attempt));
        within_deadline(clock, deadline, wait)
            .await
            .ok_or_else(|| timeout("the store kept returning a version older than one already seen"))?;
    }
}

/// Returns true if a version that a load returned is current, and the load therefore not stale.
pub(super) async fn confirm(
    backend: &dyn StorageBackend,
    clock: &dyn Clock,
    version: &Version,
    deadline: Duration,
) -> Result<bool> {
    read(clock, deadline, backend.confirm(version)).await
}

async fn read<T>(
    clock: &dyn Clock,
    deadline: Duration,
    reading: impl Future<Output = Result<T>>,
) -> Result<T> {
    within_deadline(clock, deadline, reading)
        .await
        .unwrap_or_else(|| Err(timeout("the store did not answer a load before the deadline")))
        .map_err(|error| error.with_outcome(Outcome::NotApplied))
}

/// Parses the loaded document.
pub(super) fn parse(stored: &Stored) -> Result<ConfigDocument> {
    match stored {
        Stored::Present { payload, .. } => ConfigDocument::parse(payload.as_bytes()),
        Stored::Absent { absence, .. } => Err(absence.clone().into()),
    }
}

pub(super) fn timeout(message: &'static str) -> Error {
    Error::not_applied(ErrorKind::Timeout, message)
}

#[cfg(test)]
pub(super) mod tests {
    use async_trait::async_trait;

    use super::{super::backoff::tests::Random, *};
    use crate::{Capabilities, Location, Payload, StoreOutcome, Writes};

    /// A backend whose loads always return this value, or fail.
    #[derive(Debug)]
    pub(in super::super) struct Fixed(pub(in super::super) Option<Stored>);

    #[async_trait]
    impl StorageBackend for Fixed {
        fn location(&self) -> Location {
            Location::new("fixed", "1")
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities::new(Writes::Exact)
        }

        async fn load(&self) -> Result<Stored> {
            self.0.clone().ok_or_else(|| timeout("on demand"))
        }

        async fn confirm(&self, _: &Version) -> Result<bool> {
            Err(timeout("on demand"))
        }

        async fn store(&self, _: &Version, _: &Payload) -> Result<StoreOutcome> {
            Err(timeout("on demand"))
        }
    }

    #[tokio::test]
    async fn unseen_version_is_believed() {
        let stored = Stored::present(Version::new("new"), "{}");
        let (backend, history) = (Fixed(Some(stored.clone())), crate::sync::Mutex::new(History::default()));
        crate::sync::lock(&history).note(&Version::new("old"));
        let deadline = Duration::from_secs(15);
        assert_eq!(load(&backend, &Random(0), &history, deadline).await.unwrap(), stored);
    }

    #[test]
    fn the_last_sixteen_versions_are_remembered() {
        let versions: Vec<_> = (0..18).map(|n| Version::new(n.to_string())).collect();
        let mut history = History::default();
        for version in &versions {
            history.note(version);
        }
        assert!(!history.is_earlier(&versions[1]), "forgotten");
        assert!(history.is_earlier(&versions[2]) && history.is_earlier(&versions[16]));
        assert!(!history.is_earlier(&versions[17]), "current");
        assert!(!history.is_earlier(&Version::new("new")));
    }

    #[test]
    fn rollback_makes_later_versions_earlier() {
        let [first, second] = ["first", "second"].map(Version::new);
        let mut history = History::default();
        history.note(&first);
        history.note(&second);
        history.note(&first);
        assert!(history.is_earlier(&second) && !history.is_earlier(&first));
        history.outdate(&first);
        assert!(history.is_earlier(&second) && history.is_earlier(&first));
        history.note(&first);
        assert!(history.is_earlier(&second) && !history.is_earlier(&first));
    }
}
