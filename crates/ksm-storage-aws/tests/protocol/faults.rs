//! Regressions: faults that once lost, repeated or misreported a write.

use ksm_storage_aws::{Concurrency, Put, SecretsClient};
use ksm_storage_core::{
    ConfigDocument,
    ConfigKey::{ClientId, Hostname, Url},
    ConfigStorage, Error, ErrorKind, ExposeSecret, Outcome, StorageBackend, StoreOutcome, Verification,
};
use ksm_storage_emulator::{Action, Value};

use crate::support::{BOTH, Interference, Network, Region, committed, elsewhere_first, foreign, store};

fn parse(json: &str) -> ConfigDocument {
    ConfigDocument::parse(json.as_bytes()).unwrap()
}

async fn increment(storage: &ConfigStorage) {
    let change = |document: &mut ConfigDocument| {
        let count: u32 = document.get(Url).map_or(0, |value| value.expose_secret().parse().unwrap());
        document.set(Url, (count + 1).to_string());
        Ok::<_, Error>(())
    };
    storage.update(change).await.unwrap();
}

/// A stale read may show the value that is to be set, although another writer has replaced it since.
#[tokio::test(start_paused = true)]
async fn stale_read_ends_no_write() {
    for mode in BOTH {
        let region = Region::new(Some(r#"{"url":"a","hostname":"h"}"#));
        let (ours, theirs) = (region.storage(mode).await, region.storage(mode).await);
        theirs.set(Url, "b").await.unwrap();
        region.emulator.read_stale(2);
        ours.set(Url, "a").await.unwrap();
        assert_eq!(parse(&region.current()), parse(r#"{"url":"a","hostname":"h"}"#));
        let before = region.emulator.calls(Action::GetSecretValue);
        ours.set(Url, "a").await.unwrap();
        assert_eq!(region.emulator.calls(Action::GetSecretValue) - before, 2, "load and confirmation");
    }
}

/// P1. The labels stay stale indefinitely, so no time limit can help.
#[tokio::test(start_paused = true)]
async fn stale_labels_lose_nothing() {
    for (one, other) in BOTH.iter().flat_map(|&one| BOTH.map(|other| (one, other))) {
        let (region, network) = (Region::new(Some("{}")), Network::default());
        let writer = region.storage(one).await;
        let behind = region.storage_through(other, &network).await;
        network.freeze_labels(&region.emulator).await;
        writer.set(Url, "u").await.unwrap();
        writer.set(Hostname, "h").await.unwrap();
        let before = region.calls();
        behind.set(ClientId, "c").await.unwrap();
        let calls = [0, 1, 2].map(|index| region.calls()[index] - before[index]);
        let document = parse(&region.current());
        assert!([Url, Hostname, ClientId].iter().all(|&key| document.contains(key)), "{document:?}");
        if other == Concurrency::Optimistic {
            // Gets: the load, the token, the next version (which is current), and the check. Puts: the first, and the
            // one on that version.
            assert_eq!(calls, [4, 2, 0]);
            assert_eq!(behind.snapshot().verification(), Verification::Conclusive);
        }
    }
}

/// P2a. The second delivery of a move is refused because of the first.
#[tokio::test(start_paused = true)]
async fn moves_delivered_twice_count_once() {
    let (region, network) = (Region::new(Some("{}")), Network::default());
    let storage = region.storage_through(Concurrency::Strict, &network).await;
    network.set(|faults| faults.twice = true);
    for _ in 0..10 {
        increment(&storage).await;
    }
    assert_eq!(parse(&region.current()).get(Url).unwrap().expose_secret(), "10");
}

/// P2b. A put is carried out, but answered as if another writer had taken its version ID.
#[tokio::test(start_paused = true)]
async fn puts_answered_exists_count_once() {
    for concurrency in BOTH {
        let (region, network) = (Region::new(Some("{}")), Network::default());
        let storage = region.storage_through(concurrency, &network).await;
        network.set(|faults| faults.exists = true);
        for _ in 0..10 {
            increment(&storage).await;
        }
        assert_eq!(parse(&region.current()).get(Url).unwrap().expose_secret(), "10");
    }
}

/// P3. An optimistic writer meets a staged version while its move is in flight. Neither writer loses its change, and
/// neither is told of a foreign writer.
#[tokio::test(start_paused = true)]
async fn slow_move_meets_optimistic_writer() {
    let region = Region::new(Some("{}"));
    let optimistic = region.storage(Concurrency::Optimistic).await;
    let work = elsewhere_first(async move { optimistic.set(Url, "u").await.unwrap() });
    let strict = ConfigStorage::open(region.interposed(Concurrency::Strict, [("move", work)])).await.unwrap();
    strict.set(Hostname, "h").await.unwrap();
    let document = parse(&region.current());
    assert!(document.contains(Url) && document.contains(Hostname), "{document:?}");
}

/// The same, but the move arrives after the optimistic writer found the base current: before its put to the next slot,
/// or before its move.
#[tokio::test(start_paused = true)]
async fn pending_version_is_passed_by_move() {
    for before in ["put", "move"] {
        let region = Region::new(Some("{}"));
        let stager = region.backend(Concurrency::Strict);
        let version = stager.load().await.unwrap().version().clone();
        let late = region.hold(&stager, &version, r#"{"url":"u"}"#).await;
        let first: Interference = Box::new(|| {});
        let optimistic = region.interposed(Concurrency::Optimistic, [("put", first), (before, late)]);
        let optimistic = ConfigStorage::open(optimistic).await.unwrap();
        optimistic.set(Hostname, "h").await.unwrap();
        let document = parse(&region.current());
        assert!(document.contains(Url) && document.contains(Hostname), "{before}: {document:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn pending_version_blocks_without_permission() {
    let region = Region::new(Some("{}"));
    let stager = region.backend(Concurrency::Strict);
    let version = stager.load().await.unwrap().version().clone();
    drop(region.hold(&stager, &version, r#"{"url":"u"}"#).await);
    let storage = region.storage(Concurrency::Optimistic).await;
    region.emulator.deny(Action::UpdateSecretVersionStage, "AccessDeniedException");
    let mut used = Vec::new();
    for _ in 0..3 {
        let error = storage.set(Hostname, "h").await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Conflict, Outcome::NotApplied), "{error}");
        assert!(error.to_string().contains("UpdateSecretVersionStage"), "{error}");
        assert!(error.to_string().contains("then reopen the storage"), "{error}");
        used.push(region.secret.versions().len());
    }
    // The denial is remembered, so only the first attempt used a slot.
    assert_eq!((used[0], used[2]), (3, 3));
    assert_eq!(region.current(), "{}");
    // The remedy works as the error words it.
    region.emulator.allow_all();
    region.storage(Concurrency::Optimistic).await.set(Hostname, "h").await.unwrap();
    assert!(parse(&region.current()).contains(Hostname));
}

/// P5. Our write, cut off by a rollback, is displaced by a foreign write and then by another writer of this project.
#[tokio::test(start_paused = true)]
async fn own_version_is_not_called_foreign() {
    let region = Region::new(Some("{}"));
    let base = region.backend(Concurrency::Optimistic).load().await.unwrap().version().clone();
    let other = region.backend(Concurrency::Optimistic);
    let secret = region.secret.clone();
    let expected = base.clone();
    let cut_off = elsewhere_first(async move {
        // The writer whose put is in flight knows neither the foreign write nor the one on top of it.
        secret.overwrite(Value::Text(r#"{"foreign":1}"#.into()));
        let loaded = other.load().await.unwrap();
        assert_ne!(*loaded.version(), expected);
        committed(store(&other, loaded.version(), r#"{"n":2}"#).await.unwrap());
    });
    let storage = region.interposed(Concurrency::Optimistic, [("put", cut_off)]);
    let storage = ConfigStorage::open(storage).await.unwrap();
    let error = storage.set(Url, "u").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Displaced, Outcome::Applied));
    let text = error.to_string();
    assert!(
        text.contains("of another writer of this project") && !text.contains("of a foreign writer"),
        "{text}"
    );
}

/// P4. A foreign writer may choose any version ID.
#[tokio::test(start_paused = true)]
async fn hostile_version_id_stays_text() {
    let token = "1;touch PWNED;`id`\n[ERROR] forged '";
    assert!((32..=64).contains(&token.len()));
    let region = Region::new(Some("{}"));
    let emulator = region.emulator.clone();
    let put = Put {
        secret: "ksm-config".to_owned(),
        token: token.to_owned(),
        value: r#"{"foreign":1}"#.into(),
        label: None,
    };
    let work = elsewhere_first(async move { drop(SecretsClient::put(&emulator, &put).await.unwrap()) });
    let storage = region.interposed(Concurrency::Optimistic, [("put", work)]);
    let storage = ConfigStorage::open(storage).await.unwrap();
    let error = storage.set(Url, "u").await.unwrap_err();
    assert_eq!(error.displaced().unwrap().as_str(), token);
    for text in [error.to_string(), format!("{error:?}"), format!("{:?}", error.displaced())] {
        assert!(!text.contains(char::is_control), "{text}");
    }
    // Run the suggested command in a shell in which `aws` prints its last argument.
    let text = error.to_string();
    let (_, command) = text.split_once("to see what was displaced: ").unwrap();
    let script = format!("aws() {{ printf %s \"${{@: -1}}\"; }}; {command}");
    if let Ok(output) = std::process::Command::new("bash").args(["-c", &script]).output() {
        assert_eq!(String::from_utf8(output.stdout).unwrap(), token);
        assert!(!std::path::Path::new("PWNED").exists());
    }
}

#[tokio::test(start_paused = true)]
async fn lost_race_costs_two_calls() {
    let region = Region::new(Some("{}"));
    let [one, other] = [0; 2].map(|_| region.backend(Concurrency::Optimistic));
    let version = one.load().await.unwrap().version().clone();
    committed(store(&one, &version, r#"{"n":1}"#).await.unwrap());
    let before = region.calls();
    let StoreOutcome::Conflict { current: Some(current), .. } = store(&other, &version, "{}").await.unwrap()
    else {
        panic!("the version in the slot is current")
    };
    assert_eq!(current.payload(), Some(&r#"{"n":1}"#.into()));
    assert_eq!([0, 1, 2].map(|index| region.calls()[index] - before[index]), [1, 1, 0]);
}

/// Stale labels only delay the verdict of a check.
#[tokio::test(start_paused = true)]
async fn check_waits_for_fresh_labels() {
    let (region, network) = (Region::new(Some("{}")), Network::default());
    let storage = region.storage_through(Concurrency::Optimistic, &network).await;
    storage.set(Url, "u").await.unwrap();
    network.freeze_labels(&region.emulator).await;
    let thaw = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        network.set(|faults| faults.labels.clear());
    };
    foreign(&region)();
    let (set, ()) = tokio::join!(storage.set(Hostname, "h"), thaw);
    assert_eq!(set.unwrap_err().kind(), ErrorKind::Displaced);
}
