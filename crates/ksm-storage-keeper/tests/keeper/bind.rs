use std::time::Duration;

use ksm_storage_core::{BindState, ConfigKey, ExposeSecret, Outcome};
use ksm_storage_emulator::{
    Action, Fault as AwsFault, ResponseFault,
    keeper::{AppKeyPolicy, Fault, RecordedRequest},
};
use ksm_storage_keeper::{
    ErrorKind, KeeperClient,
    sdk::{KeyValueStorage, SecretsManager, config_keys::ConfigKeys},
};

use tokio::time::Instant;

use crate::support::{POLICIES, TITLES, World, titles};

#[tokio::test]
async fn first_start_costs_two_writes() {
    for policy in POLICIES {
        let world = World::new(policy, "{}");
        let client = world.open(&world.keeper.issue_token()).await.unwrap();
        // The load to open; for each write, a load and a verifying read.
        assert_eq!(world.calls(), [1 + 2 * 2, 2]);
        let bind =
            RecordedRequest { action: "get_secret".to_owned(), status: Some(200), with_public_key: true };
        assert_eq!(world.keeper.requests(), [bind]);
        assert_eq!(client.bind_state(), BindState::Bound);

        assert_eq!(titles(&client).await, TITLES);
        assert_eq!(world.calls(), [0, 0]);
        assert!(!world.keeper.requests()[1].with_public_key);

        world.keeper.clear_requests();
        let later = world.start().await.unwrap();
        assert_eq!((world.calls(), world.keeper.requests().len()), ([1, 0], 0));
        assert_eq!(titles(&later).await, TITLES);
        let names: Vec<_> = world.stored().await.names().map(str::to_owned).collect();
        let bound = [
            "appKey",
            "appOwnerPublicKey",
            "clientId",
            "hostname",
            "privateKey",
            "serverPublicKey",
            "serverPublicKeyId",
        ];
        assert_eq!(names, bound);
    }
}

#[tokio::test]
async fn token_may_be_repeated() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let token = world.keeper.issue_token();
    world.open(&token).await.unwrap();
    let bound = world.stored().await;
    world.calls();
    let again = world.open(&token).await.unwrap();
    assert_eq!(world.calls(), [1, 0]);
    assert_eq!(titles(&again).await, TITLES);
    // The SDK alone would add the token's key again.
    assert_eq!(world.stored().await, bound);
}

#[tokio::test]
async fn other_sdks_keys_survive_bind() {
    let stored = r#"{"appUid": "theirs", "publicKey": {"a": [1, null]}, "url": null}"#;
    let world = World::new(AppKeyPolicy::Once, stored);
    world.open(&world.keeper.issue_token()).await.unwrap();
    let text = String::from_utf8(world.stored().await.to_payload().as_bytes().to_vec()).unwrap();
    for kept in [r#""appUid": "theirs""#, r#""publicKey": {"a": [1, null]}"#, r#""url": null"#] {
        assert!(text.contains(kept), "{kept}");
    }
    assert_eq!(titles(&world.start().await.unwrap()).await, TITLES);
}

#[tokio::test]
async fn leftover_keys_are_not_a_reply() {
    let app_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let world = World::new(AppKeyPolicy::Once, "{}");
    let known = world.keeper.issue_token();
    world.keeper.fail_next([Fault::Unreachable]);
    world.open(&known).await.unwrap_err();
    let client_id = world.stored().await.get(ConfigKey::ClientId).unwrap().expose_secret().to_owned();
    let (key, host) = (world.keeper.issue_token(), world.keeper.hostname());
    for (token, left) in [
        (known, format!(r#""clientId": "{client_id}""#)),
        (world.keeper.issue_token(), r#""privateKey": "old""#.to_owned()),
        (world.keeper.issue_token(), r#""hostname": "old""#.to_owned()),
        (String::new(), format!(r#""clientKey": "{key}", "hostname": "{host}""#)),
    ] {
        world.store(&format!(r#"{{"appKey": "{app_key}", "appUid": "theirs", {left}}}"#));
        let client = world.open(&token).await.unwrap();
        let stored = world.stored().await;
        assert_eq!(stored.bind_state(), BindState::Bound, "{left}");
        assert!(stored.names().any(|name| name == "appUid"), "{left}");
        assert_eq!(titles(&client).await, TITLES, "{left}");
    }
}

#[tokio::test(start_paused = true)]
async fn lost_private_key_spends_token() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let token = world.keeper.issue_token();
    world.open(&token).await.unwrap();
    world.storage().await.delete(ConfigKey::PrivateKey).await.unwrap();
    assert_eq!(world.open(&token).await.unwrap_err().kind(), ErrorKind::TokenSpent);
}

#[tokio::test(start_paused = true)]
async fn lost_reply_is_recovered() {
    for (policy, recovers) in [(AppKeyPolicy::Once, false), (AppKeyPolicy::UntilConfirmed, true)] {
        let world = World::new(policy, "{}");
        let token = world.keeper.issue_token();
        world.keeper.fail_next([Fault::LoseReply]);
        let error = world.open(&token).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        let key_pair = world.stored().await;
        assert_eq!(key_pair.bind_state(), BindState::Unbound);

        match world.open(&token).await {
            Ok(client) => assert!(recovers && titles(&client).await == TITLES, "{policy:?}"),
            Err(error) => assert!(!recovers && error.kind() == ErrorKind::TokenSpent, "{policy:?}: {error}"),
        }
        let private_key = |document: &ksm_storage_core::ConfigDocument| {
            document.get(ConfigKey::PrivateKey).unwrap().expose_secret().to_owned()
        };
        assert_eq!(private_key(&world.stored().await), private_key(&key_pair));
    }
}

#[tokio::test]
async fn interrupted_bind_resumes_without_token() {
    for policy in POLICIES {
        let world = World::new(policy, "{}");
        world.keeper.fail_next([Fault::Unreachable]);
        let error = world.open(&world.keeper.issue_token()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert_eq!(titles(&world.start().await.unwrap()).await, TITLES);
    }
}

#[tokio::test]
async fn unstored_key_pair_is_never_sent() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    world.aws.deny(Action::PutSecretValue, "AccessDeniedException");
    let token = world.keeper.issue_token();
    let error = world.open(&token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert_eq!(error.storage_error().unwrap().outcome(), Outcome::NotApplied);
    assert!(error.to_string().contains("secretsmanager:PutSecretValue"), "{error}");
    assert_eq!(world.keeper.requests(), []);
    world.aws.allow_all();
    assert_eq!(titles(&world.open(&token).await.unwrap()).await, TITLES);
}

#[tokio::test]
async fn unstored_application_key_is_kept() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    // The first put stores the key pair.
    let refused = AwsFault::refuse("AccessDeniedException");
    world.aws.fail(Action::PutSecretValue, [AwsFault::Delay(Duration::ZERO), refused]);
    let error = world.open(&world.keeper.issue_token()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSaved, "{error}");
    assert_eq!(world.stored().await.bind_state(), BindState::Unbound);
    let client: KeeperClient = error.unsaved().unwrap().clone();
    client.save().await.unwrap();
    assert_eq!(world.stored().await.bind_state(), BindState::Bound);
    world.calls();
    client.save().await.unwrap();
    assert_eq!(world.calls(), [0, 0]);
    assert_eq!(titles(&client).await, TITLES);
    assert_eq!(titles(&world.start().await.unwrap()).await, TITLES);
}

/// The faults of puts and gets during an outage that begins when Keeper has bound the client.
fn outage_after_bind(world: &World, puts: &[AwsFault], gets: &[AwsFault]) {
    let works = AwsFault::Delay(Duration::ZERO);
    // Opening loads; the write of the key pair loads, stores and verifies.
    let before = [(Action::PutSecretValue, 1, puts), (Action::GetSecretValue, 3, gets)];
    for (action, calls, faults) in before {
        world.aws.fail(action, vec![works.clone(); calls].into_iter().chain(faults.iter().cloned()));
    }
}

#[tokio::test(start_paused = true)]
async fn application_key_outlasts_an_outage() {
    let failing = AwsFault::Before(ResponseFault::Status(503));
    for gets in [0, 6] {
        let world = World::new(AppKeyPolicy::Once, "{}");
        outage_after_bind(&world, &vec![failing.clone(); 6 - gets], &vec![failing.clone(); gets]);
        let start = Instant::now();
        let client = world.open(&world.keeper.issue_token()).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
        assert_eq!(world.stored().await.bind_state(), BindState::Bound);
        assert_eq!(titles(&client).await, TITLES);
    }
}

#[tokio::test(start_paused = true)]
async fn retries_of_application_key_end() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    outage_after_bind(&world, &vec![AwsFault::Before(ResponseFault::Status(503)); 100], &[]);
    let start = Instant::now();
    let error = world.open(&world.keeper.issue_token()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSaved, "{error}");
    assert!((30..=31).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let attempts = world.calls()[1] - 1;
    assert!((8..=16).contains(&attempts), "{attempts}");
    world.aws.clear_faults();
    error.unsaved().unwrap().save().await.unwrap();
    assert_eq!(world.stored().await.bind_state(), BindState::Bound);
}

/// The first attempt may have stored the key, whatever the later ones end in.
#[tokio::test(start_paused = true)]
async fn unknown_attempt_leaves_outcome_unknown() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let lost = AwsFault::After(ResponseFault::Reset);
    let failing = vec![AwsFault::Before(ResponseFault::Status(503)); 200];
    let gets = [vec![AwsFault::Delay(Duration::ZERO)], failing].concat();
    outage_after_bind(&world, &[lost], &gets);
    let error = world.open(&world.keeper.issue_token()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSaved, "{error}");
    assert_eq!(error.storage_error().unwrap().outcome(), Outcome::Unknown, "{error}");
}

/// The put is carried out, but neither its reply nor a read after it arrives.
#[tokio::test(start_paused = true)]
async fn stored_application_key_is_stored_once() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let lost = AwsFault::After(ResponseFault::Reset);
    let gets = [vec![AwsFault::Delay(Duration::ZERO)], vec![AwsFault::Before(ResponseFault::Reset); 3]];
    outage_after_bind(&world, &[lost], &gets.concat());
    world.open(&world.keeper.issue_token()).await.unwrap();
    assert_eq!(world.stored().await.bind_state(), BindState::Bound);
    assert_eq!(world.calls()[1], 2);
}

#[test]
fn application_key_is_stored_first() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let world = World::new(AppKeyPolicy::Once, "{}");
        let open = world.builder().token(world.keeper.issue_token()).open(world.storage().await);
        let open = tokio::spawn(open);
        while world.keeper.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        // Occupies the only thread on which the SDK can be started, once the request has ended.
        let (release, released) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || released.recv());
        let is_stored = async {
            while world.stored().await.bind_state() != BindState::Bound {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), is_stored).await.unwrap();
        drop(release);
        assert_eq!(titles(&open.await.unwrap().unwrap()).await, TITLES);
    });
}

#[tokio::test]
async fn new_server_key_is_stored() {
    let world = World::new(AppKeyPolicy::UntilConfirmed, "{}");
    let refused = AwsFault::refuse("AccessDeniedException");
    world.aws.fail(Action::PutSecretValue, [AwsFault::Delay(Duration::ZERO), refused]);
    let token = world.keeper.issue_token();
    let error = world.open(&token).await.unwrap_err();
    // Stored without this client's knowledge, like a write of its own whose reply was lost.
    world.open(&token).await.unwrap();
    let client = error.unsaved().unwrap();
    let new_number =
        |sdk: &mut SecretsManager| sdk.config.set(ConfigKeys::KeyServerPublicKeyId, "7".to_owned()).map(drop);
    client.call(new_number).await.unwrap();
    let stored = world.stored().await;
    assert_eq!(stored.get(ConfigKey::ServerPublicKeyId).unwrap().expose_secret(), "7");
    assert_eq!(stored.bind_state(), BindState::Bound);
}

#[tokio::test]
async fn lost_second_write_is_recognized() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    world.aws.fail(
        Action::PutSecretValue,
        [AwsFault::Delay(Duration::ZERO), AwsFault::After(ResponseFault::Reset)],
    );
    let client = world.open(&world.keeper.issue_token()).await.unwrap();
    assert_eq!(titles(&client).await, TITLES);
    assert_eq!(world.stored().await.bind_state(), BindState::Bound);
}

#[tokio::test]
async fn bad_token_fails_before_sending() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let unbound = world.start().await.unwrap_err();
    assert_eq!(unbound.kind(), ErrorKind::Unbound);
    let malformed = world.open("US:s3cret").await.unwrap_err();
    assert_eq!(malformed.kind(), ErrorKind::InvalidToken);
    assert!(!format!("{malformed}{malformed:?}").contains("s3cret"));
    assert_eq!(world.open("  ").await.unwrap_err().kind(), ErrorKind::Unbound);
    let bare = KeeperClient::builder().token(world.keeper.issue_token());
    let hostless = bare.open(world.storage().await).await.unwrap_err();
    assert_eq!(hostless.kind(), ErrorKind::InvalidToken);
    assert!(hostless.to_string().contains("set the host name"), "{hostless}");

    world.open(&world.keeper.issue_token()).await.unwrap();
    world.keeper.clear_requests();
    world.calls();
    let other = world.open(&world.keeper.issue_token()).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::TokenMismatch);
    assert_eq!((world.calls(), world.keeper.requests().len()), ([1, 0], 0));
}

#[tokio::test(start_paused = true)]
async fn unknown_token_is_spent() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let elsewhere = World::new(AppKeyPolicy::Once, "{}");
    let error = world.open(&elsewhere.keeper.issue_token()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TokenSpent, "{error}");

    // The remedy in the message.
    let token = world.keeper.issue_token();
    let client = world.builder().token(token).rebind(world.storage().await).await.unwrap();
    assert_eq!(titles(&client).await, TITLES);
}

#[tokio::test]
async fn rebind_keeps_other_keys() {
    let world = World::new(AppKeyPolicy::Once, r#"{"appUid": "theirs"}"#);
    world.open(&world.keeper.issue_token()).await.unwrap();
    world.keeper.revoke_all();
    let old = world.stored().await;
    let token = world.keeper.issue_token();
    let none = world.builder().rebind(world.storage().await).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Unbound);
    world.calls();
    let client = world.builder().token(&*token).rebind(world.storage().await).await.unwrap();
    assert_eq!(world.calls(), [5, 2]);
    assert_eq!(titles(&client).await, TITLES);
    let new = world.stored().await;
    assert!(new.names().any(|name| name == "appUid"));
    let client_id = |document: &ksm_storage_core::ConfigDocument| {
        document.get(ConfigKey::ClientId).unwrap().expose_secret().to_owned()
    };
    assert_ne!(client_id(&old), client_id(&new));
    world.calls();
    world.builder().token(token).rebind(world.storage().await).await.unwrap();
    assert_eq!(world.calls(), [1, 0]);

    // Host and server key are kept unless the token names others.
    let token = world.keeper.issue_token();
    let alone = KeeperClient::builder().insecure_skip_verify().token(token);
    let client = alone.rebind(world.storage().await).await.unwrap();
    assert_eq!(titles(&client).await, TITLES);
}

#[tokio::test]
async fn token_key_alone_gets_bound() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let (token, host) = (world.keeper.issue_token(), world.keeper.hostname());
    world.store(&format!(r#"{{"clientKey": "{token}", "hostname": "{host}"}}"#));
    let client = world.builder().open(world.storage().await).await.unwrap();
    assert_eq!(titles(&client).await, TITLES);
}

#[tokio::test]
async fn throttled_bind_fails_then_resumes() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let token = world.keeper.issue_token();
    world.keeper.fail_next([Fault::Throttle]);
    assert_eq!(world.open(&token).await.unwrap_err().kind(), ErrorKind::Throttled);
    assert_eq!(world.keeper.requests().len(), 1);
    assert_eq!(titles(&world.open(&token).await.unwrap()).await, TITLES);
}
