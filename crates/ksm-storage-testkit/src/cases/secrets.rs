use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use ksm_storage_core::{
    ConfigDocument, ConfigKey, Displaced, Error, ErrorKind, Payload, StorageBackend, Version,
};
use tracing::instrument::WithSubscriber;

use crate::{
    Failure, LoadFault, StoreFault, SystemUnderTest,
    canary::{canary, is_shown},
    failure::{Checked, ensure, ensure_shown},
    handle::Settings,
};

pub(super) async fn c13_the_backend_shows_no_payload(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    store.write(Some(format!(r#"{{"url":"{}"}}"#, canary("url")).into())).await;
    let backend = store.open().await;
    let stored = backend.load().await?;
    for text in [
        format!("{backend:?}"),
        format!("{backend:#?}"),
        format!("{stored:?}"),
        backend.location().to_string(),
    ] {
        ensure!(!is_shown(&text), "a payload is shown: {text}");
    }
    Ok(())
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const EVENTS: [&str; 8] =
    ["load", "store", "conflict", "retry", "displaced", "unverified", "refresh", "rollback"];

/// Runs every call, successful and failing, at the level TRACE: no event, error or `Debug` output shows a value.
pub(super) async fn c13_nothing_shows_a_value(sut: SystemUnderTest) -> Checked {
    let mut missing = None;
    // `tracing` caches interest process-wide. If another thread without a subscriber reaches the event first, ours may
    // be missed: then try again.
    for _ in 0..5 {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_writer(move || writer.clone())
            .finish();
        let sut = sut.clone();
        let calls = async {
            tracing::callsite::rebuild_interest_cache();
            everything(sut).await
        };
        let seen = calls.with_subscriber(subscriber).await?;
        let logged =
            String::from_utf8_lossy(&log.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
        for text in seen.lines().chain(logged.lines()) {
            ensure!(!is_shown(text), "a value is shown: {text}");
        }
        missing = EVENTS.into_iter().find(|event| !logged.contains(event));
        if missing.is_none() {
            break;
        }
    }
    let event = missing.unwrap_or_default();
    ensure_shown!(event.is_empty(), "no event {event:?} was logged, so this proves nothing");
    Ok(())
}

async fn everything(sut: SystemUnderTest) -> Result<String, Failure> {
    let mut seen = Vec::new();
    let entries: Vec<_> = ConfigKey::ALL.iter().map(|key| format!(r#""{key}":"{}""#, canary(key))).collect();
    let json = format!(r#"{{{},"unknown":["{}"]}}"#, entries.join(","), canary("unknown"));
    let bench = sut.bench_with(&json, Settings { attempts: 3, ..Settings::default() }).await?;
    let handle = &bench.handle;
    let first = bench.probe.load().await?;
    let failed = || Error::new(ErrorKind::Unavailable, "on demand");
    let displaced = Displaced::Foreign { version: Version::new("foreign"), inspect: None };
    bench.probe.fail_stores([
        StoreFault::Displaced(displaced),
        StoreFault::Displaced(Displaced::Unverified),
        StoreFault::Fail(failed()),
        StoreFault::ReplyLost(failed()),
        StoreFault::Conflict,
        StoreFault::Conflict,
        StoreFault::Conflict,
    ]);
    for round in 0..6 {
        let result = handle.set(ConfigKey::Url, &canary(round)).await;
        seen.push(format!("{result:?} {result:#?}"));
        seen.extend(result.err().map(|error| error.to_string()));
    }
    let base = handle.snapshot();
    bench.probe.fail_loads([LoadFault::RolledBack(first.clone()), LoadFault::RolledBack(first)]);
    seen.push(format!("{:?}", handle.refresh().await));
    seen.push(format!("{:?}", handle.save(&base, ConfigDocument::new()).await));
    let refuse = |document: &mut ConfigDocument| {
        document.set(ConfigKey::Url, canary("refused"));
        Err(Error::refused("on second thoughts"))
    };
    seen.push(format!("{:?}", handle.update(Box::new(refuse)).await));
    seen.push(format!("{:?}", handle.set(ConfigKey::Url, &canary("long").repeat(10_000)).await));
    bench.store.write(Some(Payload::from(format!(r#"{{"url": {}}}"#, canary("bare"))))).await;
    seen.push(format!("{:?}", handle.refresh().await));
    let (snapshot, document) = (handle.snapshot(), handle.snapshot().document().clone());
    seen.push(format!("{handle:?} {handle:#?} {snapshot:?} {document:?} {document:#?}"));
    seen.push(format!("{:?}", Payload::from(canary("payload"))));
    if seen.iter().all(|text| !text.contains("url")) {
        return Err("no `Debug` names the keys, which an operator needs".into());
    }
    Ok(seen.join("\n"))
}
