//! Loading, and telling a stale read from a rollback.

use std::{collections::VecDeque, time::Duration};

use tracing::{Instrument, debug, debug_span, warn};

use super::backoff::{pause, within_deadline};
use crate::{
    Clock, ConfigDocument, Error, ErrorKind, Outcome, Result, Snapshot, StorageBackend, Stored, Version,
};

/// How far apart two agreeing reads of an earlier version must be to make it a rollback.
const ROLLBACK_AFTER: Duration = Duration::from_secs(2);
const REMEMBERED: usize = 16;

/// The latest versions that a handle family has seen, the current one last.
#[derive(Debug, Default)]
pub(super) struct History {
    versions: VecDeque<Version>,
    /// An earlier version that was loaded again, and since when it has been. It outlives the call that met it, whose
    /// deadline may be shorter than a rollback takes to be believed.
    suspect: Option<(Version, Duration)>,
}

impl History {
    /// `version` is now the current one.
    pub(super) fn note(&mut self, version: &Version) {
        self.suspect = None;
        if self.versions.back() == Some(version) {
            return;
        }
        self.versions.retain(|seen| seen != version);
        self.versions.push_back(version.clone());
        if self.versions.len() > REMEMBERED {
            self.versions.pop_front();
        }
    }

    /// Since when `version`, which was loaded, has been the only one loaded, if it is an earlier one. Any other clears the
    /// suspicion: stale reads that something newer was read between are no rollback, however far apart they are.
    pub(super) fn suspect(&mut self, version: &Version, now: Duration) -> Option<Duration> {
        if !self.is_earlier(version) {
            self.suspect = None;
            return None;
        }
        match &self.suspect {
            Some((suspect, since)) if suspect == version => Some(*since),
            _ => Some(self.suspect.insert((version.clone(), now)).1),
        }
    }

    /// Whether `version` was current before the one that is.
    fn is_earlier(&self, version: &Version) -> bool {
        self.versions.back() != Some(version) && self.versions.contains(version)
    }
}

/// What is stored, read afresh. An earlier version than the current one is read again until something else
/// appears, or until it has stood for [`ROLLBACK_AFTER`]: then it is a rollback, and believed.
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
        let span = debug_span!("load", location = %backend.location(), attempt);
        let stored = within_deadline(clock, deadline, backend.load().instrument(span))
            .await
            .unwrap_or_else(|| Err(timeout("the store did not answer a load before the deadline")))
            .map_err(|error| error.with_outcome(Outcome::NotApplied).or_location(|| backend.location()))?;
        debug!(
            location = %backend.location(),
            attempt,
            version = %stored.version,
            elapsed = ?(clock.now().saturating_sub(started)),
            "load"
        );
        let suspect = crate::sync::lock(history).suspect(&stored.version, clock.now());
        let Some(since) = suspect else { return Ok(stored) };
        if started >= since + ROLLBACK_AFTER {
            warn!(
                location = %backend.location(),
                version = %stored.version,
                "rollback: an earlier version is current again"
            );
            return Ok(stored);
        }
        let remaining = (since + ROLLBACK_AFTER).saturating_sub(clock.now());
        let wait = pause(clock, attempt).min(remaining);
        if within_deadline(clock, deadline, clock.sleep(wait)).await.is_none() {
            return Err(timeout("the store kept returning a version older than one already seen")
                .or_location(|| backend.location()));
        }
    }
}

/// The document in what was loaded.
pub(super) fn parse(backend: &dyn StorageBackend, stored: &Stored) -> Result<ConfigDocument> {
    match &stored.payload {
        Some(payload) => ConfigDocument::parse(payload.as_bytes())
            .map_err(|error| error.or_location(|| backend.location())),
        None => Err(Error::new(ErrorKind::NotFound, "nothing is stored here")
            .with_outcome(Outcome::NotApplied)
            .with_hint("store `{}` there first, or open with open_or_create")
            .or_location(|| backend.location())),
    }
}

/// Loads and parses, for a handle that is being opened.
pub(super) async fn open(
    backend: &dyn StorageBackend,
    clock: &dyn Clock,
    deadline: Duration,
) -> Result<(Stored, Result<Snapshot>)> {
    let stored = load(backend, clock, &crate::sync::Mutex::default(), deadline).await?;
    let snapshot = parse(backend, &stored).map(|document| Snapshot::new(stored.version.clone(), document));
    Ok((stored, snapshot))
}

pub(super) fn timeout(message: &'static str) -> Error {
    Error::new(ErrorKind::Timeout, message).with_outcome(Outcome::NotApplied)
}

#[cfg(test)]
pub(super) mod tests {
    use async_trait::async_trait;

    use super::{super::backoff::tests::Random, *};
    use crate::{Capabilities, Location, Payload, StoreOutcome, Writes};

    /// A backend that always loads this, or fails.
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

        async fn store(&self, _: &Version, _: &Payload) -> Result<StoreOutcome> {
            Err(timeout("on demand"))
        }
    }

    #[tokio::test]
    async fn what_was_not_seen_before_is_believed_at_once() {
        let stored = Stored { version: Version::new("new"), payload: Some("{}".into()) };
        let (backend, history) = (Fixed(Some(stored.clone())), crate::sync::Mutex::new(History::default()));
        crate::sync::lock(&history).note(&Version::new("old"));
        let deadline = Duration::from_secs(15);
        assert_eq!(load(&backend, &Random(0), &history, deadline).await.unwrap(), stored);
        let error = load(&Fixed(None), &Random(0), &history, deadline).await.unwrap_err();
        assert_eq!(error.location(), Some(&backend.location()));
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
    fn every_suspect_has_its_own_time() {
        let [first, second] = ["first", "second"].map(Version::new);
        let [zero, one, three] = [0, 1, 3].map(Duration::from_secs);
        let mut history = History::default();
        for version in [&first, &second, &Version::new("current")] {
            history.note(version);
        }
        assert_eq!(history.suspect(&first, zero), Some(zero));
        assert_eq!(history.suspect(&second, one), Some(one));
        assert_eq!(history.suspect(&second, three), Some(one));
        assert_eq!(history.suspect(&first, three), Some(three));
    }

    #[test]
    fn what_is_not_earlier_ends_a_suspicion() {
        let [first, second] = ["first", "second"].map(Version::new);
        let [zero, one, three] = [0, 1, 3].map(Duration::from_secs);
        let mut history = History::default();
        history.note(&first);
        history.note(&second);
        for fresh in [&second, &Version::new("new")] {
            assert_eq!(history.suspect(&first, zero), Some(zero));
            assert_eq!(history.suspect(fresh, one), None);
            assert_eq!(history.suspect(&first, three), Some(three));
            history.note(&second);
        }
    }

    #[test]
    fn after_a_rollback_the_versions_left_behind_are_the_earlier_ones() {
        let [first, second] = ["first", "second"].map(Version::new);
        let mut history = History::default();
        history.note(&first);
        history.note(&second);
        history.note(&first);
        assert!(history.is_earlier(&second) && !history.is_earlier(&first));
    }
}
