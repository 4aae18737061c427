//! The caller's settings compared with the stored ones, and Keeper's IP lock.

use ksm_storage_core::{BindState, ConfigKey, ConfigStorage, ExposeSecret};
use ksm_storage_emulator::keeper::{AppKeyPolicy, Fault};
use ksm_storage_keeper::{ErrorKind, KeeperClient, KeeperClientBuilder};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket},
};

use crate::support::{POLICIES, TITLES, World, configured, titles};

/// An address on which nothing listens.
const NOBODY: &str = "127.0.0.1:1/http";

#[tokio::test]
async fn corrected_host_reuses_token() {
    for policy in POLICIES {
        let world = World::new(policy, "{}");
        let token = world.keeper.issue_token();
        // A different host in the token, in the builder, and in the token in another form.
        let wrong = [
            (format!("127.0.0.2:{token}"), None, "the one-time token"),
            (token.clone(), Some(NOBODY), "the setting hostname or --host"),
        ];
        for (token, host, setting) in wrong {
            let builder = host.into_iter().fold(world.builder(), KeeperClientBuilder::hostname);
            let error = builder.token(token).open(world.storage().await).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
            let text = error.to_string();
            assert!(text.contains("Keeper at 127.0.0."), "{text}");
            assert!(text.contains(&format!(" (from {setting}): the connection was refused")), "{text}");
            assert_eq!(text.matches(setting).count(), 2, "the cause and the remedy name it: {text}");
        }
        assert_eq!(world.stored().await.bind_state(), BindState::Unbound);
        let client = world.open(&token).await.unwrap();
        assert_eq!(titles(&client).await, TITLES);
        let stored = world.stored().await;
        assert_eq!(stored.get(ConfigKey::Hostname).unwrap().expose_secret(), world.keeper.hostname());
    }
}

#[tokio::test]
async fn corrected_host_works_without_the_token() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let wrong = world.builder().hostname(NOBODY).token(world.keeper.issue_token());
    wrong.open(world.storage().await).await.unwrap_err();
    let client = world.builder().open(world.storage().await).await.unwrap();
    assert_eq!(titles(&client).await, TITLES);
    assert_eq!(titles(&world.start().await.unwrap()).await, TITLES);
}

#[tokio::test]
async fn corrected_server_key_reuses_token() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let elsewhere = World::new(AppKeyPolicy::Once, "{}");
    let token = world.keeper.issue_token();
    let wrong = world.builder().server_public_key(elsewhere.keeper.server_public_key()).token(&*token);
    let error = wrong.open(world.storage().await).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Sdk, Some("bad_request")), "{error}");
    let wrong = world.builder().server_public_key_id("7").token(&*token);
    let error = wrong.open(world.storage().await).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Sdk, Some("key")), "{error}");
    assert_eq!(titles(&world.open(&token).await.unwrap()).await, TITLES);
}

#[tokio::test]
async fn stored_host_counts_once_bound() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    world.open(&world.keeper.issue_token()).await.unwrap();
    let client = world.builder().hostname(NOBODY).open(world.storage().await).await.unwrap();
    assert_eq!(titles(&client).await, TITLES);
}

#[tokio::test]
async fn malformed_settings_send_nothing() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let token = world.keeper.issue_token();
    let builder = || world.builder().token(&*token);
    for (builder, name) in [
        (builder().hostname("user:s3cret@keepersecurity.com"), "hostname"),
        (builder().proxy_url("s3cret@proxy"), "proxy_url"),
        (builder().server_public_key("s3cret"), "server_public_key"),
        (builder().server_public_key_id("s3 cret"), "server_public_key_id"),
        (builder().request_timeout(std::time::Duration::ZERO), "request_timeout"),
    ] {
        let error = builder.open(world.storage().await).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}");
        assert!(text.contains(&format!("invalid setting {name}: ")) && !text.contains("s3"), "{text}");
    }
    assert_eq!(world.keeper.requests(), []);
    assert!(world.stored().await.is_empty());
}

#[tokio::test]
async fn read_only_bind_names_the_remedy() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let storage = ConfigStorage::builder(world.backend()).read_only().open().await.unwrap();
    let error = world.builder().token(world.keeper.issue_token()).open(storage).await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Storage, "{text}");
    assert_eq!(text.matches("aws-sm://eu-west-1/ksm-config").count(), 1, "{text}");
    assert!(text.contains("bind once with access that may write") && !text.contains('\n'), "{text}");
    assert_eq!(world.keeper.requests(), []);
}

/// Forwards connections from another address, which the service sees as the client's.
async fn from_127_0_0_2(hostname: &str) -> String {
    let service = hostname.trim_end_matches("/http").parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
            let mut server = socket.connect(service).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    format!("{address}/http")
}

#[tokio::test]
async fn locked_client_is_told_the_cause() {
    let world = World::new(AppKeyPolicy::UntilConfirmed, "{}");
    let other = from_127_0_0_2(&world.keeper.hostname()).await;
    let token = world.keeper.issue_ip_locked_token();
    // Locked by the first request, whose reply is lost, or by the bind.
    world.keeper.fail_next([Fault::LoseReply]);
    world.open(&token).await.unwrap_err();
    let locked = configured(&world.keeper).hostname(&*other).token(&*token).open(world.storage().await);
    let error = locked.await.unwrap_err();
    let words = "locked to the IP address that bound it; Keeper answered 403 access_denied; bind again from this address, \
                 or with a token made without";
    assert!(error.kind() == ErrorKind::AccessDenied && error.to_string().contains(words), "{error}");

    let client = world.open(&token).await.unwrap();
    assert_eq!(titles(&client).await, TITLES);
    world.storage().await.set(ConfigKey::Hostname, other).await.unwrap();
    let error = world.start().await.unwrap().get_secrets(&[]).await.unwrap_err();
    assert!(error.kind() == ErrorKind::AccessDenied && error.to_string().contains(words), "{error}");

    // If Keeper gives no reason, the IP lock is one possible cause.
    world.keeper.revoke_all();
    let error = client.get_secrets(&[]).await.unwrap_err();
    assert!(error.to_string().contains("locked it to the IP address"), "{error}");
}

#[tokio::test]
async fn bare_token_needs_a_host() {
    let world = World::new(AppKeyPolicy::Once, r#"{"hostname": ""}"#);
    let bare = KeeperClient::builder().hostname("").token(world.keeper.issue_token());
    let error = bare.open(world.storage().await).await.unwrap_err();
    assert!(
        error.kind() == ErrorKind::InvalidToken && error.to_string().contains("names no host"),
        "{error}"
    );
}
