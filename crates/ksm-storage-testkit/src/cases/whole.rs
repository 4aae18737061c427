//! Cases that drop a store, or read a payload while it is being replaced.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use ksm_storage_core::{ConfigDocument, Payload, StorageBackend, StoreOutcome};

use tokio::task::JoinSet;

use crate::{
    SystemUnderTest,
    failure::{Checked, ensure, ensure_shown},
};

/// Larger than the usual buffer, and than one packet.
const SIZE: usize = 30_000;
/// Maximum time until a dropped store takes effect.
const SETTLING: Duration = Duration::from_millis(100);
/// The duration of reading a payload while it is replaced.
const BUSY: Duration = Duration::from_millis(500);
/// The maximum number of documents stored in that time.
const STORES: usize = 1_000;

/// A document made of one letter, of about [`SIZE`] bytes or the backend's maximum.
fn document(backend: &dyn StorageBackend, letter: char) -> Payload {
    let limit = backend.capabilities().max_payload.unwrap_or(ConfigDocument::MAX_LEN);
    let length = SIZE.min(limit.saturating_sub(100));
    format!(r#"{{"url":"{}"}}"#, String::from(letter).repeat(length)).into()
}

/// Drops a store at its first `await`, at its second, and so on: each time, the old or the new document is stored.
pub(super) async fn c09_dropped_store_is_whole(sut: SystemUnderTest) -> Checked {
    const POINTS: usize = 24;
    let store = sut.fixture.fresh().await;
    let backend = store.open().await;
    let (before, after) = (document(&*backend, 'b'), document(&*backend, 'a'));
    for point in 1..=POINTS {
        store.write(Some(before.clone())).await;
        tokio::time::sleep(store.limits().staleness).await;
        let expected = backend.load().await?.version().clone();
        let ended = {
            let mut call = Box::pin(backend.store(&expected, &after));
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                match call.as_mut().poll(context) {
                    Poll::Ready(result) => Poll::Ready(Some(result)),
                    Poll::Pending if polls == point => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await
        };
        let end = Instant::now() + SETTLING;
        loop {
            let stored = store.read().await;
            ensure!(
                stored.as_ref() == Some(&before) || stored.as_ref() == Some(&after),
                "a store was dropped at `await` {point}, and neither the old nor the new document is stored"
            );
            if ended.is_some() || Instant::now() > end {
                break;
            }
            tokio::time::sleep(SETTLING / 10).await;
        }
        if ended.is_some() {
            return Ok(());
        }
    }
    Ok(())
}

/// While one backend stores documents of one letter each, another loads no mixture, and loads each payload under the
/// version with which it was committed.
pub(super) async fn c09_loads_during_stores_are_whole(sut: SystemUnderTest) -> Checked {
    let store = sut.fixture.fresh().await;
    let writer = store.open().await;
    store.write(Some(document(&*writer, 'z'))).await;
    let mut current = writer.load().await?.version().clone();
    let mut readers = JoinSet::new();
    let end = Instant::now() + BUSY;
    let stored = Arc::new(AtomicBool::new(false));
    for _ in 0..2 {
        let backend = store.open().await;
        let stored = Arc::clone(&stored);
        readers.spawn(async move {
            let mut seen = HashMap::<_, Vec<_>>::new();
            while !stored.load(Ordering::Relaxed) {
                let found = backend.load().await?;
                let payloads = seen.entry(found.version().clone()).or_default();
                let payload = found.payload().cloned();
                if !payloads.contains(&payload) {
                    payloads.push(payload);
                }
                // A backend in memory never yields.
                tokio::task::yield_now().await;
            }
            Ok::<_, ksm_storage_core::Error>(seen)
        });
    }
    let mut committed = HashMap::new();
    for letter in ('a'..='y').cycle().take(STORES) {
        // A single store proves nothing, however slow it is.
        if Instant::now() >= end && committed.len() > 1 {
            break;
        }
        let payload = document(&*writer, letter);
        match writer.store(&current, &payload).await? {
            StoreOutcome::Committed { version, .. } => {
                committed.insert(version.clone(), payload);
                current = version;
            }
            StoreOutcome::Conflict { .. } => return Err("the only writer meets a conflict".into()),
        }
        tokio::task::yield_now().await;
    }
    stored.store(true, Ordering::Relaxed);
    let mut loads = 0;
    while let Some(reader) = readers.join_next().await {
        let seen = reader.map_err(|error| error.to_string())??;
        for (version, payloads) in seen {
            for payload in payloads {
                loads += 1;
                let Some(payload) = payload else {
                    return Err("a load found nothing during a replacement".into());
                };
                let letter = payload.as_bytes().get(8).copied().map_or('?', char::from);
                ensure!(
                    payload == document(&*writer, letter),
                    "a load returned a part or a mixture of documents"
                );
                let right = committed.get(&version).is_none_or(|committed| *committed == payload);
                ensure!(right, "a load returned a document under the version of another one");
            }
        }
    }
    ensure_shown!(
        loads > 0 && committed.len() > 1,
        "{loads} loads during {} stores prove nothing",
        committed.len()
    );
    Ok(())
}
