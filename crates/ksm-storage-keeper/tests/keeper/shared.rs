//! Several clients on clones of one handle, which see each other's reads and writes.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use ksm_storage_core::BindState;
use ksm_storage_emulator::keeper::{AppKeyPolicy, Fault};
use ksm_storage_keeper::ErrorKind;

use tokio::time::sleep;

use crate::support::{POLICIES, TITLES, World, titles};

/// A world with a stored key pair that was never sent, and its token.
async fn with_key_pair(policy: AppKeyPolicy) -> (World, String) {
    let world = World::new(policy, "{}");
    let token = world.keeper.issue_token();
    world.keeper.fail_next([Fault::Unreachable]);
    world.open(&token).await.unwrap_err();
    (world, token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_opens_share_one_binding() {
    for policy in POLICIES {
        for clients in [2, 6] {
            let world = World::new(policy, "{}");
            let token = world.keeper.issue_token();
            let storage = world.storage().await;
            let opens: Vec<_> = (0..clients)
                .map(|_| tokio::spawn(world.builder().token(&*token).open(storage.clone())))
                .collect();
            for open in opens {
                assert_eq!(titles(&open.await.unwrap().unwrap()).await, TITLES, "{policy:?}, {clients}");
            }
            let bound = world.stored().await;
            assert_eq!(bound.bind_state(), BindState::Bound);
            assert_eq!(titles(&world.start().await.unwrap()).await, TITLES);
            // The key pair is not replaced by another.
            world.open(&token).await.unwrap();
            assert_eq!(world.stored().await, bound);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_rebinds_share_new_binding() {
    for policy in POLICIES {
        let world = World::new(policy, "{}");
        world.open(&world.keeper.issue_token()).await.unwrap();
        world.keeper.revoke_all();
        let old = world.stored().await;
        let (token, storage) = (world.keeper.issue_token(), world.storage().await);
        let rebinds: Vec<_> =
            (0..4).map(|_| tokio::spawn(world.builder().token(&*token).rebind(storage.clone()))).collect();
        for rebind in rebinds {
            assert_eq!(titles(&rebind.await.unwrap().unwrap()).await, TITLES, "{policy:?}");
        }
        assert_ne!(world.stored().await, old);
        assert_eq!(titles(&world.start().await.unwrap()).await, TITLES);
    }
}

#[tokio::test(start_paused = true)]
async fn rebind_reports_spent_token() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    world.open(&world.keeper.issue_token()).await.unwrap();
    let elsewhere = World::new(AppKeyPolicy::Once, "{}");
    let rebind = world.builder().token(elsewhere.keeper.issue_token()).rebind(world.storage().await);
    assert_eq!(rebind.await.unwrap_err().kind(), ErrorKind::TokenSpent);
}

#[tokio::test]
async fn refused_rebind_keeps_other_binding() {
    for clones in [true, false] {
        let world = World::new(AppKeyPolicy::Once, "{}");
        world.open(&world.keeper.issue_token()).await.unwrap();
        let elsewhere = World::new(AppKeyPolicy::Once, "{}");
        let (spent, good) = (elsewhere.keeper.issue_token(), world.keeper.issue_token());
        let storage = world.storage().await;
        let other = if clones { storage.clone() } else { world.storage().await };
        world.keeper.clear_requests();
        let refused = tokio::spawn(world.builder().token(&*spent).rebind(storage));
        while world.keeper.requests().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        other.refresh().await.unwrap();
        let client = world.builder().token(&*good).rebind(other).await.unwrap();
        assert_eq!(titles(&client).await, TITLES);
        assert_eq!(refused.await.unwrap().unwrap_err().kind(), ErrorKind::TokenSpent, "{clones}");
        assert_eq!(titles(&world.start().await.unwrap()).await, TITLES, "{clones}");
    }
}

#[tokio::test]
async fn earlier_clones_binding_is_adopted() {
    for policy in POLICIES {
        let (world, token) = with_key_pair(policy).await;
        let storage = world.storage().await;
        let mut slow = pin!(world.builder().token(&*token).open(storage.clone()));
        // It has seen only the key pair.
        assert!(poll_fn(|context| Poll::Ready(slow.as_mut().poll(context).is_pending())).await);
        let fast = world.builder().token(&*token).open(storage.clone()).await.unwrap();
        assert_eq!(titles(&fast).await, TITLES);
        assert_eq!(titles(&slow.await.unwrap()).await, TITLES, "{policy:?}");
    }
}

#[tokio::test]
async fn refresh_does_not_hide_binding() {
    let (world, token) = with_key_pair(AppKeyPolicy::Once).await;
    let storage = world.storage().await;
    let mut slow = pin!(world.builder().token(&*token).open(storage.clone()));
    assert!(poll_fn(|context| Poll::Ready(slow.as_mut().poll(context).is_pending())).await);
    world.open(&token).await.unwrap();
    storage.refresh().await.unwrap();
    assert_eq!(titles(&slow.await.unwrap()).await, TITLES);
}
