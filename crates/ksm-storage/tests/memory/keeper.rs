//! The Keeper bridge, and the Keeper SDK alone.

use ksm_storage::{
    ConfigKey, ConfigStorage, ExposeSecret,
    keeper::{
        KeeperClient, KeeperClientBuilder,
        sdk::{
            ClientOptions, InMemoryKeyValueStorage, KeyValueStorage, KvStoreType, SecretsManager,
            config_keys::ConfigKeys,
        },
    },
    memory::MemoryBackend,
};

use zeroize::Zeroizing;

use crate::{
    child::{Steps, variable},
    document,
};

pub(crate) fn scenario(name: &str, steps: &Steps) {
    steps.after("start");
    let secret = || steps.needle.reveal();
    match name {
        "keeper, unknown keys" => {
            let document = document::bound(document::APP_KEY, secret().expose_secret());
            steps.drive(async {
                let client = open(document).await;
                steps.after("open");
                client.storage().set(ConfigKey::Bat, "changed by another").await.unwrap();
                client.call(|sdk| sdk.config.set(ConfigKeys::KeyUrl, "changed".into())).await.unwrap();
                client.reload().await.unwrap();
                steps.after("call, reload");
            });
        }
        "keeper, start" => {
            let document = document::bound(secret().expose_secret(), "unknown");
            steps.drive(async {
                let client = open(document).await;
                steps.after("open");
                client.call(|_| Ok(())).await.unwrap();
                steps.after("call");
            });
        }
        "keeper sdk, start" => steps.drive(async {
            let secret = secret();
            let manager = tokio::task::spawn_blocking(move || {
                let mut config = InMemoryKeyValueStorage::new(None).unwrap();
                for (key, value) in [
                    (ConfigKeys::KeyAppKey, secret.expose_secret()),
                    (ConfigKeys::KeyClientId, "client"),
                    (ConfigKeys::KeyHostname, "localhost"),
                    (ConfigKeys::KeyPrivateKey, "private"),
                ] {
                    config.set(key, value.to_owned()).unwrap();
                }
                manager(String::new(), config)
            });
            let manager = manager.await.unwrap();
            steps.after("open");
            tokio::task::spawn_blocking(|| drop(manager)).await.unwrap();
        }),
        "keeper, bind" => steps.drive(async {
            let storage = ConfigStorage::open(MemoryBackend::from_config("{}")).await.unwrap();
            let builder = builder()
                .hostname(variable("PLACE"))
                .server_public_key(variable("SERVER_KEY"))
                .server_public_key_id("901");
            let client = builder.token(secret()).open(storage).await.unwrap();
            steps.after("open");
            drop(client);
        }),
        "keeper sdk, bind" => steps.drive(async {
            let secret = secret();
            let manager = tokio::task::spawn_blocking(move || {
                let config = InMemoryKeyValueStorage::new(None).unwrap();
                let mut manager = manager(secret.expose_secret().to_owned(), config);
                manager.get_secrets(Vec::new()).unwrap();
                manager
            });
            let manager = manager.await.unwrap();
            steps.after("open");
            tokio::task::spawn_blocking(|| drop(manager)).await.unwrap();
        }),
        other => panic!("{other} is no scenario"),
    }
}

async fn open(document: Zeroizing<String>) -> KeeperClient {
    let storage =
        ConfigStorage::open(MemoryBackend::from_config(document::payload(&document))).await.unwrap();
    drop(document);
    builder().open(storage).await.unwrap()
}

fn builder() -> KeeperClientBuilder {
    KeeperClient::builder().insecure_skip_verify()
}

fn manager(token: String, config: InMemoryKeyValueStorage) -> SecretsManager {
    let binds = !token.is_empty();
    let mut options = ClientOptions::new_client_options_with_token(token, KvStoreType::InMemory(config));
    options.insecure_skip_verify = Some(true);
    if binds {
        options.hostname = Some(variable("PLACE"));
        options.set_server_public_key(&variable("SERVER_KEY"));
        options.set_server_public_key_id("901");
    }
    SecretsManager::new(options).unwrap()
}
