use std::sync::Arc;

use ksm_storage_core::{BindState, ConfigKey, ConfigStorage, ExposeSecret, blocking};
use ksm_storage_emulator::{
    Action,
    keeper::{AppKeyPolicy, Fault},
};
use ksm_storage_keeper::{ErrorKind, KeeperClient, blocking::KeeperClient as BlockingClient, sdk::KSMRError};

use crate::support::{TITLES, World, titles};

async fn bound() -> (World, KeeperClient) {
    let world = World::new(AppKeyPolicy::UntilConfirmed, "{}");
    let client = world.open(&world.keeper.issue_token()).await.unwrap();
    (world, client)
}

/// A client with one of Keeper's own server keys. Only those can change.
async fn with_standard_key() -> (World, KeeperClient) {
    let (world, client) = bound().await;
    client.storage().delete(ConfigKey::ServerPublicKey).await.unwrap();
    client.storage().set(ConfigKey::ServerPublicKeyId, "10").await.unwrap();
    let client = world.start().await.unwrap();
    world.calls();
    (world, client)
}

#[tokio::test]
async fn server_key_survives_failed_call() {
    let (world, client) = with_standard_key().await;
    world.keeper.fail_next([Fault::UseKey(7), Fault::Deny]);
    let error = client.get_secrets(&[]).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::AccessDenied, Some("access_denied")));
    assert_eq!(world.calls(), [2, 1]);
    let stored = world.stored().await;
    assert_eq!(stored.get(ConfigKey::ServerPublicKeyId).unwrap().expose_secret(), "7");
    assert_eq!(stored.bind_state(), BindState::Bound);
}

#[tokio::test]
async fn panic_of_the_caller_goes_on() {
    let (world, client) = with_standard_key().await;
    world.keeper.fail_next([Fault::UseKey(8), Fault::Deny]);
    let called = client.clone();
    let call = tokio::spawn(async move {
        let call = |sdk: &mut ksm_storage_keeper::sdk::SecretsManager| -> Result<(), KSMRError> {
            let _ = sdk.get_secrets(Vec::new());
            panic!("on purpose");
        };
        called.call(call).await
    });
    let panic = call.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    let stored = world.stored().await;
    assert_eq!(stored.get(ConfigKey::ServerPublicKeyId).unwrap().expose_secret(), "8");
    // The client still works.
    assert_eq!(client.call(|sdk| Ok(sdk.hostname.clone())).await.unwrap(), "");
}

#[tokio::test]
async fn sdk_panic_is_an_error() {
    let (world, client) = bound().await;
    let place = |error: &ksm_storage_keeper::Error| {
        assert_eq!(error.kind(), ErrorKind::Panicked, "{error}");
        let text = error.to_string();
        assert!(text.contains("(core.rs:") && !text.contains('\n'), "{text}");
        text
    };
    world.keeper.fail_next([Fault::Omit("records"); 3]);
    let text = place(&client.get_secrets(&[]).await.unwrap_err());
    assert!(text.contains("the SDK panicked while reading records"), "{text}");
    let called = client.call(|sdk| sdk.get_secrets(Vec::new())).await;
    assert!(place(&called.unwrap_err()).contains("while running the call"));
    place(&client.get_notation("keeper://Database/field/login").await.unwrap_err());
    assert_eq!(titles(&client).await, TITLES);
}

#[test]
fn blocking_calls_raise_panics_here() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let storage = blocking::ConfigStorage::open(world.backend()).unwrap();
    let client = BlockingClient::open(world.builder().token(world.keeper.issue_token()), storage).unwrap();
    let call =
        std::panic::AssertUnwindSafe(|| client.call(|_| -> Result<(), KSMRError> { panic!("on purpose") }));
    let panic = std::panic::catch_unwind(call).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    world.keeper.fail_next([Fault::Omit("records")]);
    assert_eq!(client.get_secrets(&[]).unwrap_err().kind(), ErrorKind::Panicked);
    assert_eq!(client.get_notation("keeper://Database/field/login").unwrap(), "app");
}

#[tokio::test]
async fn notation_errors_name_the_notation() {
    let (_world, client) = bound().await;
    for (notation, words) in [
        ("keeper://Databse/field/password", "No records matched Databse"),
        ("keeper://Database/field/pasword", "'pasword'"),
        ("keeper://Database/feild/password", "keeper://Database/feild/password"),
        ("keeper://Database/field/password[7]", "[7]"),
        ("a\nb", "a\\nb"),
        ("", "\"\""),
    ] {
        let error = client.get_notation(notation).await.unwrap_err();
        let text = error.to_string();
        assert!(error.kind() == ErrorKind::Sdk && text.contains(words) && !text.contains('\n'), "{text}");
    }
    let error = client.call(|sdk| sdk.get_notation("keeper://Databse/field/password")).await.unwrap_err();
    assert!(error.to_string().contains("No records matched Databse"), "{error}");
    assert_eq!(client.get_notation("keeper://Database/field/login").await.unwrap(), "app");
}

#[tokio::test]
async fn unsaved_change_is_retried() {
    let (world, client) = with_standard_key().await;
    world.aws.deny(Action::PutSecretValue, "AccessDeniedException");
    world.keeper.fail_next([Fault::UseKey(9), Fault::Deny]);
    let tolerant = |sdk: &mut ksm_storage_keeper::sdk::SecretsManager| {
        let _ = sdk.get_secrets(Vec::new());
        Ok(())
    };
    let error = client.call(tolerant).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSaved, "{error}");
    world.aws.allow_all();
    client.call(|_| Ok(())).await.unwrap();
    let stored = world.stored().await;
    assert_eq!(stored.get(ConfigKey::ServerPublicKeyId).unwrap().expose_secret(), "9");
}

#[tokio::test]
async fn read_only_storage_drops_changes() {
    let (world, _) = with_standard_key().await;
    let storage = ConfigStorage::builder(world.backend()).read_only().open().await.unwrap();
    let client = KeeperClient::builder().insecure_skip_verify().open(storage).await.unwrap();
    world.keeper.fail_next([Fault::UseKey(9), Fault::Deny]);
    world.calls();
    assert!(client.call(|sdk| Ok(sdk.get_secrets(Vec::new()).is_err())).await.unwrap());
    assert_eq!(world.calls(), [0, 0]);
}

#[tokio::test]
async fn key_refusals_are_bounded() {
    let (world, client) = bound().await;
    world.keeper.clear_requests();
    world.keeper.fail_next([Fault::UseKey(7); 50]);
    let error = client.get_secrets(&[]).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Sdk, Some("key")), "{error}");
    assert_eq!(world.keeper.requests().len(), 4);
}

#[tokio::test]
async fn only_key_refusals_end_calls() {
    let (world, client) = bound().await;
    world.keeper.fail_next([Fault::Deny; 10]);
    let errors = client.call(|sdk| {
        Ok((0..10).map(|_| sdk.get_secrets(Vec::new()).unwrap_err().to_string()).collect::<Vec<_>>())
    });
    for error in errors.await.unwrap() {
        assert!(!error.contains("repeatedly"), "{error}");
    }
}

#[tokio::test]
async fn reload_adopts_replaced_configuration() {
    let (world, client) = bound().await;
    world.keeper.revoke_all();
    let refused = client.get_secrets(&[]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AccessDenied, "{refused}");

    // Another program binds a new client.
    let token = world.keeper.issue_token();
    world.builder().token(token).rebind(world.storage().await).await.unwrap();

    client.reload().await.unwrap();
    assert_eq!(titles(&client).await, TITLES);
}

#[tokio::test]
async fn reload_ignores_unbound_configuration() {
    let (world, client) = bound().await;
    world.store("{}");
    assert_eq!(client.reload().await.unwrap_err().kind(), ErrorKind::Unbound);
    assert_eq!(titles(&client).await, TITLES);
}

#[tokio::test]
async fn dropped_calls_complete() {
    let (world, client) = with_standard_key().await;
    world.keeper.fail_next([Fault::UseKey(7), Fault::Deny]);
    let (started, start) = tokio::sync::oneshot::channel();
    let call = client.call(move |sdk| {
        let _ = started.send(());
        sdk.get_secrets(Vec::new())
    });
    tokio::select! {
        _ = call => panic!("it did not wait"),
        _ = start => {}
    }
    // The next call waits for the dropped one.
    client.call(|_| Ok(())).await.unwrap();
    let stored = world.stored().await;
    assert_eq!(stored.get(ConfigKey::ServerPublicKeyId).unwrap().expose_secret(), "7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_share_one_client() {
    let (world, client) = bound().await;
    world.calls();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { titles(&client).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), TITLES);
    }
    assert_eq!(world.calls(), [0, 0]);
}

#[test]
fn plain_main_uses_blocking_client() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let storage = blocking::ConfigStorage::open(world.backend()).unwrap();
    let client = BlockingClient::open(world.builder().token(world.keeper.issue_token()), storage).unwrap();
    let records = client.get_secrets(&[]).unwrap();
    assert_eq!(records.iter().map(|record| &*record.title).collect::<Vec<_>>(), TITLES);
    client.save().unwrap();
    client.reload().unwrap();
    assert_eq!(client.bind_state(), BindState::Bound);
    let error = client.call(|_| Err::<(), _>(KSMRError::CustomError("s3cret".to_owned()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sdk);
    assert!(!format!("{error}{error:?}").contains("s3cret"), "{error}");
    world.store("{}");
    assert_eq!(client.reload().unwrap_err().kind(), ErrorKind::Unbound);
}

#[test]
fn blocking_client_works_within_runtimes() {
    let world = Arc::new(World::new(AppKeyPolicy::Once, "{}"));
    let token = world.keeper.issue_token();
    for mut runtime in
        [tokio::runtime::Builder::new_current_thread(), tokio::runtime::Builder::new_multi_thread()]
    {
        let runtime = runtime.enable_all().build().unwrap();
        let (world, token) = (Arc::clone(&world), token.clone());
        runtime.block_on(async move {
            let storage = blocking::ConfigStorage::open(world.backend()).unwrap();
            let client = BlockingClient::open(world.builder().token(token), storage).unwrap();
            assert_eq!(client.get_secrets(&[]).unwrap().len(), 2);
        });
    }
}

#[test]
fn missing_runtime_is_reported() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime.block_on(world.open(&world.keeper.issue_token())).unwrap();
    let mut call = std::pin::pin!(client.call(|_| Ok(())));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = call.as_mut().poll(&mut context) else { panic!("it waits") };
    assert_eq!(error.kind(), ErrorKind::Runtime);
}
