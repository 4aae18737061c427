//! Small programs on one handle family, and assertions that hold in every interleaving.

use shuttle::future::{JoinHandle, block_on, spawn, yield_now};

use super::{
    Fault, finds, holds,
    primitives::Handle,
    world::{Store, Time, number, url},
};
use crate::{ConfigKey, ConfigStorage, Error, ErrorKind, Outcome, Result};

/// Appends `letter` to the text under [`ConfigKey::Url`], and returns the result.
async fn append(storage: &ConfigStorage, letter: char) -> Result<String> {
    storage
        .update(move |document| {
            let text = url(document) + &letter.to_string();
            document.set(ConfigKey::Url, text.clone());
            document.set(ConfigKey::Hostname, text.clone());
            Ok::<_, Error>(text)
        })
        .await
}

/// [`append`], on a task of its own.
fn appending(storage: &ConfigStorage, letter: char) -> JoinHandle<Result<String>> {
    let storage = storage.clone();
    spawn(async move { append(&storage, letter).await })
}

fn times(letter: char, text: &str) -> usize {
    text.matches(letter).count()
}

/// Asserts that the call's answer about its change agrees with the stored document.
fn assert_true(result: &Result<String>, letter: char, text: &str) {
    let times = times(letter, text);
    match result {
        Ok(_) => assert_eq!(times, 1, "{letter} was acknowledged: {text}"),
        Err(error) => match error.outcome() {
            Outcome::NotApplied => assert_eq!(times, 0, "{letter} is certain not to be there: {text}"),
            _ => assert!(times <= 1, "{letter} was made twice: {text}"),
        },
    }
}

fn changes() {
    block_on(async {
        let (store, time) = (Store::new(), Time::default());
        let storage = store.open(&time).await;
        let elsewhere = store.elsewhere().open(&time).await;
        let calls: Vec<_> = [(&storage, "ab"), (&storage, "cd"), (&elsewhere, "e")]
            .map(|(storage, letters)| {
                let storage = storage.clone();
                spawn(async move {
                    for letter in letters.chars() {
                        let text = append(&storage, letter).await.unwrap();
                        assert!(text.ends_with(letter), "{text}");
                        assert!(url(storage.snapshot().document()).starts_with(&text), "own write not read");
                    }
                })
            })
            .into();
        for call in calls {
            call.await.unwrap();
        }
        let text = store.settled().await;
        assert!(text.len() == 5 && "abcde".chars().all(|letter| times(letter, &text) == 1), "{text}");
    });
}

#[test]
fn changes_survive_and_calls_end() {
    holds(changes);
}

#[test]
fn late_handover_is_found() {
    finds(Fault::LateHandOver, "deadlock", changes);
}

#[test]
fn late_snapshot_exchange_is_found() {
    finds(Fault::LateSwap, "own write not read", changes);
}

fn reads() {
    block_on(async {
        let (store, time) = (Store::new(), Time::default());
        let storage = store.open(&time).await;
        let elsewhere = store.elsewhere().open(&time).await;
        let calls = [appending(&storage, 'a'), appending(&elsewhere, 'b'), appending(&storage, 'c')];
        let mut last = 0;
        for _ in 0..6 {
            let snapshot = storage.snapshot();
            assert!(number(&snapshot) >= last, "an earlier snapshot came back");
            last = number(&snapshot);
            assert!(store.has_stored(&snapshot), "what was read was never stored");
            yield_now().await;
        }
        for call in calls {
            call.await.unwrap().unwrap();
        }
    });
}

#[test]
fn reads_are_monotonic() {
    holds(reads);
}

#[test]
fn early_snapshot_is_found() {
    finds(Fault::EarlyInstall, "what was read was never stored", reads);
}

fn refreshes() {
    block_on(async {
        let (store, time) = (Store::new(), Time::default());
        let storage = store.open(&time).await;
        let elsewhere = store.elsewhere().open(&time).await;
        let other = storage.clone();
        let refresh = spawn(async move { other.refresh().await });
        append(&elsewhere, 'b').await.unwrap();
        let snapshot = storage.refresh().await.unwrap();
        assert_eq!(times('b', &url(snapshot.document())), 1, "acknowledged before, and not seen");
        refresh.await.unwrap().unwrap();
    });
}

#[test]
fn refresh_sees_acknowledged_writes() {
    holds(refreshes);
}

#[test]
fn late_join_is_found() {
    finds(Fault::LateJoin, "acknowledged before, and not seen", refreshes);
}

fn dropped_callers() {
    block_on(async {
        let (store, time) = (Store::new(), Time::default());
        let storage = store.open(&time).await;
        let dropped = [appending(&storage, 'a'), appending(&storage, 'b')];
        let kept = appending(&storage, 'c');
        for call in &dropped {
            yield_now().await;
            call.abort();
        }
        let mut results = Vec::new();
        for call in dropped {
            results.push(call.await);
        }
        kept.await.unwrap().unwrap();
        append(&storage, 'd').await.unwrap();
        let text = store.settled().await;
        for (result, letter) in results.into_iter().zip("ab".chars()) {
            match result {
                Ok(result) => assert_true(&result, letter, &text),
                Err(_) => assert!(times(letter, &text) <= 1, "{letter} was made twice: {text}"),
            }
        }
        assert!(times('c', &text) == 1 && times('d', &text) == 1, "{text}");
    });
}

#[test]
fn dropped_call_applies_at_most_once() {
    holds(dropped_callers);
}

fn deadlines() {
    block_on(async {
        let (store, time) = (Store::new(), Time::default());
        let storage = store.open(&time).await;
        let calls = [appending(&storage, 'a'), appending(&storage, 'b')];
        let clock = time.clone();
        let running_out = spawn(async move {
            yield_now().await;
            clock.run_out();
        });
        let mut results = Vec::new();
        for call in calls {
            results.push(call.await.unwrap());
        }
        running_out.await.unwrap();
        let text = store.settled().await;
        for (result, letter) in results.iter().zip("ab".chars()) {
            assert_true(result, letter, &text);
            assert!(result.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::Timeout));
        }
        append(&storage, 'c').await.unwrap();
    });
}

#[test]
fn deadline_reports_the_outcome() {
    holds(deadlines);
}

#[test]
fn two_step_claim_is_found() {
    finds(Fault::TornClaim, "is certain not to be there", deadlines);
}

fn ended_committers() {
    block_on(async {
        let (store, time) = (Store::new(), Time::default());
        let storage = store.open(&time).await;
        let calls = [appending(&storage, 'a'), appending(&storage, 'b'), appending(&storage, 'c')];
        let ending = spawn(async {
            for _ in 0..2 {
                yield_now().await;
                Handle::end_spawned();
            }
        });
        let mut results = Vec::new();
        for call in calls {
            results.push(call.await.unwrap());
        }
        ending.await.unwrap();
        append(&storage, 'd').await.unwrap();
        let text = store.settled().await;
        for (result, letter) in results.iter().zip("abc".chars()) {
            assert_true(result, letter, &text);
            assert!(result.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::Runtime));
        }
        assert_eq!(times('d', &text), 1, "{text}");
    });
}

#[test]
fn ended_committer_answers_everyone() {
    holds(ended_committers);
}

#[test]
fn orphaned_queue_is_found() {
    finds(Fault::LeftRunning, "deadlock", ended_committers);
}
