//! Calls that are dropped at each of their await points.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use ksm_storage_core::{BindState, ConfigKey, ExposeSecret};
use ksm_storage_emulator::keeper::{AppKeyPolicy, Fault};
use tokio::time::{sleep, timeout};

use crate::support::{POLICIES, TITLES, World, titles};

/// Polls the future up to `polls` times, each time it is woken, and then drops it.
async fn drop_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        let polled = future.as_mut().poll(context).map(Some);
        if left == 0 && polled.is_pending() { Poll::Ready(None) } else { polled }
    })
    .await
}

/// The same token resumes an interrupted bind.
#[tokio::test]
async fn dropped_bind_is_resumed() {
    for policy in POLICIES {
        let mut polls = 0;
        loop {
            let world = World::new(policy, r#"{"publicKey": [1]}"#);
            let token = world.keeper.issue_token();
            let ended = drop_after(polls, Box::pin(world.open(&token))).await;
            let client = world.open(&token).await.unwrap();
            assert_eq!(titles(&client).await, TITLES);
            let stored = world.stored().await;
            assert_eq!(stored.bind_state(), BindState::Bound);
            assert!(stored.names().any(|name| name == "publicKey"));
            assert_eq!(titles(&world.start().await.unwrap()).await, TITLES);
            if ended.is_some() {
                break;
            }
            polls += 1;
        }
        // Opening the storage, starting the SDK, a write, and the request with its follow-up.
        assert!(polls >= 4, "{polls}");
    }
}

async fn key_is_stored(world: &World, number: &str) {
    let stored =
        async || world.stored().await.get(ConfigKey::ServerPublicKeyId).unwrap().expose_secret().to_owned();
    while stored().await != number {
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn dropped_call_changes_are_stored() {
    let mut polls = 0;
    loop {
        let world = World::new(AppKeyPolicy::UntilConfirmed, "{}");
        let client = world.open(&world.keeper.issue_token()).await.unwrap();
        client.storage().delete(ConfigKey::ServerPublicKey).await.unwrap();
        client.storage().set(ConfigKey::ServerPublicKeyId, "10").await.unwrap();
        let client = world.start().await.unwrap();
        world.keeper.fail_next([Fault::UseKey(7), Fault::Deny]);
        let ended = drop_after(polls, client.get_secrets(&[])).await;
        // The call itself must store it, not a later one.
        let expected = if polls == 0 { "10" } else { "7" };
        timeout(Duration::from_secs(10), key_is_stored(&world, expected)).await.unwrap();
        client.call(|_| Ok(())).await.unwrap();
        assert_eq!(world.stored().await.bind_state(), BindState::Bound);
        client.save().await.unwrap();
        drop_after(polls, client.reload()).await;
        client.reload().await.unwrap();
        if ended.is_some() {
            break;
        }
        polls += 1;
    }
    assert!(polls >= 1, "{polls}");
}
