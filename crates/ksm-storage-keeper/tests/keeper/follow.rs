//! Configurations that another program replaced are adopted between two calls, once the storage has seen them.

#[path = "../../../ksm-storage-core/tests/warnings/mod.rs"]
mod warnings;

use std::{sync::mpsc, time::Duration};

use ksm_storage_core::{BindState, ConfigKey, ExposeSecret};
use ksm_storage_emulator::keeper::{AppKeyPolicy, Fault};
use ksm_storage_keeper::{
    KeeperClient,
    sdk::{KSMRError, SecretsManager},
};
use tracing::instrument::WithSubscriber;

use self::warnings::Warnings;
use crate::support::{TITLES, World, titles};

async fn bound() -> (World, KeeperClient) {
    let world = World::new(AppKeyPolicy::UntilConfirmed, "{}");
    let client = world.open(&world.keeper.issue_token()).await.unwrap();
    mark(&client).await;
    (world, client)
}

/// Another program binds a new client, and the old one is removed.
async fn replace(world: &World) {
    world.keeper.revoke_all();
    let token = world.keeper.issue_token();
    world.builder().token(token).rebind(world.storage().await).await.unwrap();
    world.calls();
}

/// Sets a marker that a reload removes.
async fn mark(client: &KeeperClient) {
    let mark = |sdk: &mut SecretsManager| {
        sdk.token.push_str("mark");
        Ok(())
    };
    client.call(mark).await.unwrap();
}

async fn is_marked(client: &KeeperClient) -> bool {
    client.call(|sdk| Ok(sdk.token.ends_with("mark"))).await.unwrap()
}

#[tokio::test]
async fn replaced_client_is_taken_over() {
    let (world, client) = bound().await;
    replace(&world).await;
    client.storage().refresh().await.unwrap();
    assert_eq!(titles(&client).await, TITLES);
    assert!(!is_marked(&client).await);
    assert_eq!(world.calls(), [1, 0], "nothing but the refresh");
}

#[tokio::test]
async fn scheduled_refresh_is_followed() {
    let (world, client) = bound().await;
    let mut changes = client.storage().changes();
    client.storage().keep_fresh(Duration::from_millis(20)).unwrap();
    replace(&world).await;
    while client.storage().bind_state() != BindState::Bound || is_marked(&client).await {
        changes.next().await.unwrap();
    }
    assert_eq!(titles(&client).await, TITLES);
}

#[tokio::test]
async fn running_call_keeps_its_client() {
    let (world, client) = bound().await;
    let (started, start) = tokio::sync::oneshot::channel();
    let (go_on, wait) = mpsc::channel();
    let running = tokio::spawn({
        let client = client.clone();
        async move {
            let call = move |sdk: &mut SecretsManager| {
                started.send(()).unwrap();
                wait.recv().unwrap();
                Ok::<_, KSMRError>(sdk.token.ends_with("mark"))
            };
            client.call(call).await
        }
    });
    start.await.unwrap();
    replace(&world).await;
    client.storage().refresh().await.unwrap();
    go_on.send(()).unwrap();
    assert!(running.await.unwrap().unwrap());
    assert!(!is_marked(&client).await);
}

#[tokio::test]
async fn other_keys_restart_nothing() {
    let (_world, client) = bound().await;
    client.storage().set(ConfigKey::Url, "u").await.unwrap();
    assert!(is_marked(&client).await);
}

#[tokio::test]
async fn new_server_key_restarts_nothing() {
    let (world, client) = bound().await;
    client.storage().delete(ConfigKey::ServerPublicKey).await.unwrap();
    client.storage().set(ConfigKey::ServerPublicKeyId, "10").await.unwrap();
    let client = world.start().await.unwrap();
    mark(&client).await;
    world.keeper.fail_next([Fault::UseKey(7)]);
    let _ = client.get_secrets(&[]).await;
    let stored = world.stored().await;
    let number = stored.get(ConfigKey::ServerPublicKeyId).map(ExposeSecret::expose_secret);
    assert_eq!(number, Some("7"), "an own write");
    assert!(is_marked(&client).await);
}

#[tokio::test]
async fn unusable_replacement_is_reported_once() {
    for (json, words) in [
        ("{}", "not bound"),
        (r#"{"KSM_CONFIG": "eyJh"}"#, "not the configuration of a Keeper client"),
        (r#"{"clientId": "YWJj", "privateKey": "c2hvcnQ=", "appKey": "c2hvcnQ="}"#, "Key"),
    ] {
        let (world, client) = bound().await;
        world.store(json);
        client.storage().refresh().await.unwrap();
        let warnings = Warnings::of("ksm_storage_keeper");
        let calls = async {
            assert_eq!(titles(&client).await, TITLES);
            assert!(is_marked(&client).await);
        };
        calls.with_subscriber(warnings.subscriber()).await;
        let text = warnings.text();
        assert!(text.starts_with("message=the document that replaced the client's configuration"), "{text}");
        assert!(text.contains(words) && text.lines().count() == 1, "{text}");
        assert!(!text.contains("eyJh") && !text.contains("c2hvcnQ"), "{text}");
    }
}

#[tokio::test]
async fn unreadable_replacement_leaves_the_client() {
    let (world, client) = bound().await;
    world.store("no document");
    client.storage().refresh().await.unwrap_err();
    assert_eq!(titles(&client).await, TITLES);
    assert!(is_marked(&client).await);
}

#[tokio::test]
async fn another_client_on_the_handle_counts() {
    let (world, client) = bound().await;
    world.keeper.revoke_all();
    let token = world.keeper.issue_token();
    world.builder().token(token).rebind(client.storage().clone()).await.unwrap();
    assert_eq!(titles(&client).await, TITLES);
}
