//! Every operation of the SDK's `SecretsManager` (17.3.0), called through the bridge. `docs/keeper.md` has the table.

use ksm_storage_emulator::keeper::AppKeyPolicy;
use ksm_storage_keeper::{
    KeeperClient,
    sdk::{
        KSMRError, Record, SecretsManager,
        dto::{
            CreateOptions, QueryOptions, UpdateOptions, UpdateTransactionType,
            dtos::{KeeperFileUpload, RecordCreate},
        },
    },
};

use crate::support::{TITLES, World};

const FOLDER: &str = "shared-folder-0000001";

async fn bound() -> (World, KeeperClient) {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let client = world.open(&world.keeper.issue_token()).await.unwrap();
    world.keeper.clear_requests();
    world.calls();
    (world, client)
}

impl World {
    /// The requests received by Keeper. AWS must have received none.
    fn asked(&self) -> Vec<String> {
        assert_eq!(self.calls(), [0, 0]);
        let seen = self.keeper.requests();
        self.keeper.clear_requests();
        assert!(seen.iter().all(|seen| seen.status == Some(200)), "{seen:?}");
        seen.into_iter().map(|seen| seen.action).collect()
    }
}

fn database(sdk: &mut SecretsManager) -> Result<Record, KSMRError> {
    sdk.get_secret_by_title(TITLES[0])?.ok_or_else(|| KSMRError::CustomError("no such record".to_owned()))
}

#[tokio::test]
async fn reading() {
    let (world, client) = bound().await;
    let uid = client.call(|sdk| Ok(database(sdk)?.uid)).await.unwrap();
    let read = client
        .call(move |sdk| {
            let one = vec![uid.clone()];
            Ok([
                sdk.get_secrets(Vec::new())?.len(),
                sdk.get_secrets(one.clone())?.len(),
                sdk.get_secrets_with_options(QueryOptions::with_links(one.clone(), Vec::new(), true))?.len(),
                sdk.get_secrets_full_response(one.clone())?.records.len(),
                sdk.get_secrets_by_title(TITLES[1])?.len(),
                sdk.get_folders()?.len(),
                sdk.inflate_field_value(one, vec!["login".to_owned()])?.len(),
            ])
        })
        .await
        .unwrap();
    assert_eq!(read, [2, 1, 1, 1, 1, 1, 1]);
    let asked = world.asked();
    assert_eq!(asked.iter().filter(|action| *action == "get_folders").count(), 1, "{asked:?}");
    assert!(asked.len() >= 8, "{asked:?}");
}

#[tokio::test]
async fn notation() {
    let (_world, client) = bound().await;
    let values = client
        .call(|sdk| {
            let notation = format!("keeper://{}/field/login", database(sdk)?.uid);
            let value = sdk.get_notation(&notation)?;
            assert!(value.to_string().contains("app"), "{value}");
            assert!(SecretsManager::parse_notation(&notation, false)?.len() > 2);
            assert!(SecretsManager::parse_section(&notation, "prefix", 0)?.is_present);
            assert!(SecretsManager::parse_subsection("/field/", 1, "/", true)?.is_some());
            Ok([sdk.get_notation_result(&notation)?, sdk.try_get_notation_results(&notation)?])
        })
        .await
        .unwrap();
    assert_eq!(values, [["app"], ["app"]]);
}

#[tokio::test]
async fn files() {
    let (world, client) = bound().await;
    let content = client.call(|sdk| sdk.download_file_by_title(TITLES[0], "note.txt")).await.unwrap();
    assert_eq!(content.as_deref(), Some(&b"a file of the record"[..]));
    world.asked();
    let file = KeeperFileUpload {
        name: "new.txt".to_owned(),
        title: "new".to_owned(),
        mime_type: "text/plain".to_owned(),
        data: b"content".to_vec(),
    };
    let upload = client.call(move |sdk| {
        let record = database(sdk)?;
        sdk.upload_file(record, file)
    });
    assert!(!upload.await.unwrap().is_empty());
    assert_eq!(world.asked(), ["get_secret", "add_file", "upload"]);
}

#[tokio::test]
async fn records_are_changed_created_and_deleted() {
    let (world, client) = bound().await;
    let title = client
        .call(|sdk| {
            let mut record = database(sdk)?;
            record.set_standard_field_value_mut("login", "changed".into())?;
            sdk.update_secret(record)?;
            let record = database(sdk)?;
            let uid = record.uid.clone();
            let general = UpdateTransactionType::General;
            sdk.save(record.clone(), None)?;
            sdk.update_secret_with_transaction(record.clone(), general.clone())?;
            sdk.complete_transaction(&*uid, false)?;
            sdk.complete_transaction(&*uid, true)?;
            sdk.update_secret_with_options(record.clone(), UpdateOptions::with_transaction_type(general))?;
            let created = sdk.create_secret(FOLDER, RecordCreate::new("login", "New", None))?;
            assert!(!created.is_empty());
            let login = record.get_standard_field_value("login", true)?;
            sdk.delete_secret(vec![uid])?;
            assert!(sdk.get_secret_by_title(TITLES[0])?.is_none());
            Ok(login.to_string())
        })
        .await
        .unwrap();
    assert!(title.contains("changed"), "{title}");
    let asked = world.asked();
    for action in [
        "update_secret",
        "finalize_secret_update",
        "rollback_secret_update",
        "create_secret",
        "delete_secret",
    ] {
        assert!(asked.iter().any(|asked| asked == action), "{action} is not in {asked:?}");
    }
}

#[tokio::test]
async fn folders_are_created_changed_and_deleted() {
    let (world, client) = bound().await;
    client
        .call(|sdk| {
            let options = CreateOptions::new(FOLDER.to_owned(), None);
            let created = sdk.create_folder(options, "New".to_owned(), Vec::new())?;
            assert!(!created.is_empty());
            sdk.update_folder(FOLDER, "Renamed".to_owned(), Vec::new())?;
            assert_eq!(sdk.delete_folder(vec![FOLDER.to_owned()], true)?.len(), 1);
            Ok(())
        })
        .await
        .unwrap();
    let expected = ["get_folders", "create_folder", "get_folders", "update_folder", "delete_folder"];
    assert_eq!(world.asked(), expected);
}
