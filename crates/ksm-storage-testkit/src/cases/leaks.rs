//! Cases that search everything a failing backend shows for secrets.

use std::{
    error,
    fmt::Write as _,
    future::Future,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use ksm_storage_core::{Error, Payload, StorageBackend, StoreOutcome, Version};
use tracing::instrument::WithSubscriber;

use crate::{
    Condition, Failure, SystemUnderTest,
    canary::{canary, is_shown, shows},
    failure::{Checked, ensure},
    rig::Rig,
};

/// All output, with its origin.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<(String, String)>>>);

impl Shown {
    fn add(&self, by: impl Into<String>, text: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((by.into(), text.into()));
    }

    /// Adds the error and its sources in every printable form.
    fn add_error(&self, by: &str, error: &Error) {
        self.add(format!("the error of {by}"), format!("{error} {error:#} {error:?} {error:#?}"));
        let mut next = error::Error::source(error);
        while let Some(source) = next {
            self.add(format!("a source of the error of {by}"), format!("{source} {source:#}"));
            self.add(format!("the `Debug` of a source of the error of {by}"), format!("{source:?}"));
            next = source.source();
        }
    }

    fn check(&self, credentials: &[String]) -> Checked {
        for (by, text) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            ensure!(!is_shown(text), "a payload is shown by {by}: {text:.500}");
            for credential in credentials {
                ensure!(!shows(text, credential.as_bytes()), "a credential is shown by {by}");
            }
        }
        Ok(())
    }
}

/// Collects log lines.
struct Log(Shown);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.add("an event", String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn payload(name: &str) -> Payload {
    format!(r#"{{"url":"{}"}}"#, canary(name)).into()
}

/// Under each condition that the fixture offers, no call shows payload or credentials: neither in `Debug` output,
/// errors and their sources, or events, nor through a panic.
pub(super) async fn c13_failures_show_no_secret(sut: SystemUnderTest) -> Checked {
    let rig =
        Arc::new(Rig::new(&*sut.fixture, &String::from_utf8_lossy(payload("stored").as_bytes())).await?);
    let credentials = rig.store.credentials();
    if let Some(short) = credentials.iter().find(|credential| credential.len() < 6) {
        return Err(Failure::fixture(format!(
            "a credential of {} characters is too short to search for",
            short.len()
        )));
    }
    let shown = Shown::default();
    let writer = shown.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || Log(writer.clone()))
        .finish();
    let calls = {
        let (rig, shown) = (Arc::clone(&rig), shown.clone());
        async move {
            // `tracing` caches interest process-wide, and may have done so before this thread had a subscriber.
            tracing::callsite::rebuild_interest_cache();
            everything(&rig, &shown).await
        }
    };
    let called = tokio::spawn(calls.with_subscriber(subscriber)).await;
    rig.restore().await;
    shown.check(&credentials)?;
    called.unwrap_or_else(|error| Err(error.to_string().into()))
}

async fn everything(rig: &Arc<Rig>, shown: &Shown) -> Checked {
    let expected = rig.backend.load().await?.version().clone();
    calls(rig, shown, &expected, "without a fault").await;
    for condition in Condition::ALL {
        // The next condition replaces this one, so that connections stay open.
        if rig.impose(*condition).await.is_ok() {
            calls(rig, shown, &expected, &format!("on a store that is {condition}")).await;
            rig.restore().await;
        }
    }
    Ok(())
}

/// Makes a load, and stores on the current version, on an outdated version, and of a payload that is too large.
async fn calls(rig: &Arc<Rig>, shown: &Shown, outdated: &Version, when: &str) {
    let by = |call: &str| format!("a {call} {when}");
    let loaded = watched(shown, &by("load"), rig, |rig| async move { rig.backend.load().await }).await;
    let current = match loaded {
        Some(found) => {
            shown.add(by("load"), format!("{found:?} {found:#?}"));
            found.version().clone()
        }
        None => outdated.clone(),
    };
    let version = current.clone();
    let confirm = |rig: Arc<Rig>| async move { rig.backend.confirm(&version).await };
    watched(shown, &by("confirmation"), rig, confirm).await;
    let largest = rig.backend.capabilities().max_payload.unwrap_or(0);
    let large = Payload::from(format!("{} {}", canary("large"), "x".repeat(largest)));
    let stores = [
        ("store", &current, payload("new")),
        ("store on an outdated version", outdated, payload("outdated")),
        ("store of an oversized payload", &current, large),
    ];
    for (call, expected, payload) in stores {
        if call == "store of an oversized payload" && largest == 0 {
            continue;
        }
        let expected = expected.clone();
        let store = |rig: Arc<Rig>| async move { rig.backend.store(&expected, &payload).await };
        if let Some(outcome) = watched::<StoreOutcome, _>(shown, &by(call), rig, store).await {
            shown.add(by(call), format!("{outcome:?} {outcome:#?}"));
        }
    }
    let backend = &rig.backend;
    shown.add(format!("the `Debug` of the backend {when}"), format!("{backend:?} {backend:#?}"));
    let location = backend.location();
    shown.add("the location", format!("{location} {location:?}"));
}

/// The call's result if it succeeds. Records its error or panic; a hang is the concern of another case.
async fn watched<T: Send + 'static, F: Future<Output = Result<T, Error>> + Send + 'static>(
    shown: &Shown,
    by: &str,
    rig: &Arc<Rig>,
    call: impl FnOnce(Arc<Rig>) -> F,
) -> Option<T> {
    let limit = rig.store.limits().call;
    let task = tokio::spawn(call(Arc::clone(rig)).with_current_subscriber());
    let abort = task.abort_handle();
    let Ok(ended) = tokio::time::timeout(limit, task).await else {
        abort.abort();
        return None;
    };
    match ended {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            shown.add_error(by, &error);
            None
        }
        Err(error) => {
            let mut text = error.to_string();
            if let Ok(panic) = error.try_into_panic() {
                let message = panic.downcast_ref::<String>().map(String::as_str);
                let _ = write!(
                    text,
                    " {}",
                    message.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default()
                );
            }
            shown.add(format!("a panic of {by}"), text);
            None
        }
    }
}
