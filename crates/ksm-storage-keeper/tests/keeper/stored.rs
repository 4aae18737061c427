//! Stored documents that are not a Keeper client's, or from which no client can work.

use ksm_storage_core::{BindState, ConfigDocument, ConfigKey, ExposeSecret};
use ksm_storage_emulator::keeper::AppKeyPolicy;
use ksm_storage_keeper::{Error, ErrorKind};

use crate::support::{TITLES, World, titles};

fn rejected(error: &Error, words: &str) {
    let text = format!("{error} {error:?}");
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{text}");
    assert!(text.contains(words) && !text.contains("s3cret") && !error.to_string().contains('\n'), "{text}");
}

#[tokio::test]
async fn foreign_documents_are_left_alone() {
    for (stored, words) in [
        (r#"{"KSM_CONFIG": "s3cret"}"#, "the value of the key KSM_CONFIG"),
        (r#"{"username": "app", "password": "s3cret", "port": 5432}"#, "unknown keys: 3 of 3"),
        (r#"{"s3cret": ""}"#, "unknown keys: 1 of 1"),
        (r#"{"": ""}"#, "unknown keys: 1 of 1"),
        (r#"{"CLIENTID": "s3cret"}"#, "another program's secret"),
        (r#"{"hostname": "keepersecurity.com", "s3cret": 1, "s3cret2": 2}"#, "unknown keys: 2 of 3"),
        (r#"{"url": null, "KSM_CONFIG": {"s3cret": 1}}"#, "the value of the key KSM_CONFIG"),
    ] {
        let world = World::new(AppKeyPolicy::Once, stored);
        let before = world.stored().await;
        let token = world.keeper.issue_token();
        rejected(&world.open(&token).await.unwrap_err(), words);
        let rebind = world.builder().token(&*token).rebind(world.storage().await).await;
        rejected(&rebind.unwrap_err(), words);
        assert_eq!(world.stored().await, before, "{stored}");
        assert_eq!(world.keeper.requests(), [], "{stored}");
        // The same without a token if no key is known.
        let error = world.start().await.unwrap_err();
        if before.names().any(|name| name == "hostname" || name == "url") {
            assert_eq!(error.kind(), ErrorKind::Unbound, "{error}");
        } else {
            rejected(&error, words);
        }
    }
}

#[tokio::test]
async fn known_documents_are_bound() {
    for stored in
        ["{}", r#"{"hostname": ""}"#, r#"{"appUid": "u"}"#, r#"{"publicKey": 1, "url": null, "bat": []}"#]
    {
        let world = World::new(AppKeyPolicy::Once, stored);
        assert_eq!(titles(&world.open(&world.keeper.issue_token()).await.unwrap()).await, TITLES, "{stored}");
    }
}

#[tokio::test]
async fn rebind_keeps_unknown_keys() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    world.open(&world.keeper.issue_token()).await.unwrap();
    let bound = world.stored().await.to_payload();
    let bound = std::str::from_utf8(bound.as_bytes()).unwrap();
    world.store(&bound.replacen('{', r#"{"note": "theirs","#, 1));
    assert_eq!(titles(&world.start().await.unwrap()).await, TITLES);
    let token = world.keeper.issue_token();
    world.builder().token(token).rebind(world.storage().await).await.unwrap();
    assert!(world.stored().await.names().any(|name| name == "note"));
}

#[tokio::test]
async fn malformed_keys_are_named() {
    let world = World::new(AppKeyPolicy::UntilConfirmed, "{}");
    let client = world.open(&world.keeper.issue_token()).await.unwrap();
    let bound = world.stored().await;
    let value = |key| bound.get(key).unwrap().expose_secret();
    let cut = |key| &value(key)[..value(key).len() - 8];
    let long = "A".repeat(4096);
    let other_curve = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
    for (key, values) in [
        (
            ConfigKey::PrivateKey,
            [cut(ConfigKey::PrivateKey), "s3cret", &long, other_curve, value(ConfigKey::AppKey)],
        ),
        (ConfigKey::AppKey, [cut(ConfigKey::AppKey), "s3cret", &long, "AAAA", value(ConfigKey::ClientId)]),
        (ConfigKey::ClientId, [cut(ConfigKey::ClientId), "s3cret", &long, "=", value(ConfigKey::AppKey)]),
        (ConfigKey::ServerPublicKey, [cut(ConfigKey::ServerPublicKey), "s3cret", &long, "BA==", " "]),
        (ConfigKey::ServerPublicKeyId, ["10 ", "\n", "ü", "'10'", "1\r\nX: y"]),
        (
            ConfigKey::Hostname,
            ["u:s3cret@keeper.example", "a b", "keeper.example\n\nx", "ü.example", "\u{7f}"],
        ),
    ] {
        for malformed in values {
            let mut document: ConfigDocument = bound.clone();
            document.set(key, malformed);
            world.storage().await.replace(document).await.unwrap();
            let words = format!("invalid {key}: ");
            rejected(&world.start().await.unwrap_err(), &words);
            let error = client.reload().await.unwrap_err();
            rejected(&error, "make a new one-time token and rebind");
            assert_eq!(client.bind_state(), BindState::Invalid(key), "{key} {malformed}");
            assert_eq!(titles(&client).await, TITLES);
        }
    }
    // The remedy in the message.
    let token = world.keeper.issue_token();
    let client = world.builder().token(token).rebind(world.storage().await).await.unwrap();
    assert_eq!(
        (titles(&client).await, client.bind_state()),
        (TITLES.map(str::to_owned).to_vec(), BindState::Bound)
    );
}

#[tokio::test]
async fn leftovers_leave_client_bound() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    world.open(&world.keeper.issue_token()).await.unwrap();
    world.storage().await.set(ConfigKey::ClientKey, "left").await.unwrap();
    assert_eq!(titles(&world.start().await.unwrap()).await, TITLES);
}

#[tokio::test]
async fn malformed_key_pair_is_never_sent() {
    use ksm_storage_emulator::keeper::Fault;
    let world = World::new(AppKeyPolicy::Once, "{}");
    let token = world.keeper.issue_token();
    world.keeper.fail_next([Fault::Unreachable]);
    world.open(&token).await.unwrap_err();
    world.keeper.clear_requests();
    let unbound = world.stored().await;
    for (key, value) in [(ConfigKey::PrivateKey, "s3cret"), (ConfigKey::ClientKey, "s3cret")] {
        let mut document = unbound.clone();
        document.set(key, value);
        world.storage().await.replace(document).await.unwrap();
        rejected(&world.start().await.unwrap_err(), &format!("invalid {key}: "));
    }
    assert_eq!(world.keeper.requests(), []);
    // The reissued token replaces the malformed key.
    assert_eq!(titles(&world.open(&token).await.unwrap()).await, TITLES);
    world.store(r#"{"clientKey": "s3cret", "hostname": "keeper.example"}"#);
    rejected(&world.start().await.unwrap_err(), "invalid clientKey: ");
}
