//! Creation, change and deletion.

use std::time::Duration;

use serde_json::json;

use crate::{DAY, NOW, World, date, names, token};

#[tokio::test]
async fn create_token_takes_one_value() {
    let world = World::with_secret().await;
    let arn = world.ok("DescribeSecret", json!({})).await["ARN"].clone();
    let create =
        |value, number| json!({ "Name": "s", "SecretString": value, "ClientRequestToken": token(number) });
    let again = json!({ "ARN": arn, "Name": "s", "VersionId": token(0) });
    assert_eq!(world.ok("CreateSecret", create("0", 0)).await, again);
    let message = format!(
        "You can't use ClientRequestToken {} because that value is already in use for a version of secret {}.",
        token(0),
        arn.as_str().unwrap()
    );
    world.rejected("CreateSecret", create("1", 0), "ResourceExistsException", &message).await;
    let message = "The operation failed because the secret s already exists.";
    world.rejected("CreateSecret", create("0", 1), "ResourceExistsException", message).await;
}

#[tokio::test]
async fn forced_deletion_of_nothing_succeeds() {
    let world = World::new().await;
    let deleted = world.ok("DeleteSecret", json!({ "ForceDeleteWithoutRecovery": true })).await;
    assert_eq!((&deleted["Name"], &deleted["DeletionDate"]), (&json!("s"), &json!(date(NOW))));
    let arn = deleted["ARN"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:secretsmanager:us-east-1:123456789012:secret:s-"), "{arn}");
    let again = json!({ "SecretId": arn, "ForceDeleteWithoutRecovery": true });
    assert_eq!(world.ok("DeleteSecret", again).await["ARN"], arn);
    let message = "Secrets Manager can't find the specified secret.";
    world.rejected("DeleteSecret", json!({}), "ResourceNotFoundException", message).await;
}

#[tokio::test]
async fn recovery_window_is_limited() {
    let world = World::with_secret().await;
    let message = "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).";
    for days in [0, 3, 6, 31, -7] {
        let request = json!({ "RecoveryWindowInDays": days });
        world.rejected("DeleteSecret", request, "InvalidParameterException", message).await;
    }
    let request = json!({ "RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": true });
    let message = "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.";
    world.rejected("DeleteSecret", request, "InvalidParameterException", message).await;
    for (request, days) in [(json!({}), 30), (json!({ "RecoveryWindowInDays": 7 }), 7)] {
        let deleted = world.ok("DeleteSecret", request).await;
        assert_eq!(deleted["DeletionDate"], date(NOW + days * DAY));
        world.ok("RestoreSecret", json!({})).await;
    }
    world.ok("DeleteSecret", json!({})).await;
    // A secret that is scheduled for deletion can still be deleted at once.
    let deleted = world.ok("DeleteSecret", json!({ "ForceDeleteWithoutRecovery": true })).await;
    assert_eq!(deleted["DeletionDate"], date(NOW));
    assert_eq!(world.ask("DescribeSecret", json!({})).await.unwrap_err().0, "ResourceNotFoundException");
}

#[tokio::test]
async fn name_is_taken_until_deletion() {
    let world = World::with_secret().await;
    world.ok("DeleteSecret", json!({ "RecoveryWindowInDays": 7 })).await;
    let create = json!({ "Name": "s", "SecretString": "0", "ClientRequestToken": token(0) });
    let message =
        "You can't create this secret because a secret with this name is already scheduled for deletion.";
    world.rejected("CreateSecret", create.clone(), "InvalidRequestException", message).await;
    let message = "You can't perform this operation on the secret because it was marked for deletion.";
    for (action, request) in [
        ("DeleteSecret", json!({})),
        ("GetResourcePolicy", json!({})),
        ("GetSecretValue", json!({})),
        ("TagResource", json!({ "Tags": [] })),
        ("UntagResource", json!({ "TagKeys": [] })),
        ("UpdateSecret", json!({})),
    ] {
        world.rejected(action, request, "InvalidRequestException", message).await;
    }
    assert_eq!(world.ok("DescribeSecret", json!({})).await["DeletedDate"], date(NOW + 7 * DAY));
    assert_eq!(names(&world.ok("ListSecrets", json!({})).await), [""; 0]);
    assert_eq!(names(&world.ok("ListSecrets", json!({ "IncludePlannedDeletion": true })).await), ["s"]);
    world.0.emulator().advance(Duration::from_secs(7 * DAY - 1));
    world
        .rejected(
            "CreateSecret",
            create.clone(),
            "InvalidRequestException",
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        )
        .await;
    world.0.emulator().advance(Duration::from_secs(1));
    world.ok("CreateSecret", create).await;
}

#[tokio::test]
async fn update_changes_what_it_names() {
    let world = World::with_secret().await;
    let updated = world.answer("UpdateSecret", json!({ "Description": "d", "KmsKeyId": "k" }), 1).await;
    assert_eq!(updated["VersionId"], json!(null));
    let updated = world.answer("UpdateSecret", json!({ "SecretString": "1" }), 1).await;
    assert_eq!(updated["VersionId"], token(1));
    let described = world.ok("DescribeSecret", json!({})).await;
    assert_eq!((&described["Description"], &described["KmsKeyId"]), (&json!("d"), &json!("k")));
    let stages = json!({ token(0): ["AWSPREVIOUS"], token(1): ["AWSCURRENT"] });
    assert_eq!(described["VersionIdsToStages"], stages);

    // Repeating the request has no effect; with another value, it is rejected entirely.
    world.answer("UpdateSecret", json!({ "SecretString": "1" }), 1).await;
    let arn = described["ARN"].as_str().unwrap();
    let message = format!(
        "You can't use ClientRequestToken {} because that value is already in use for a version of secret {arn}.",
        token(1)
    );
    let request = json!({
        "SecretString": "2", "ClientRequestToken": token(1), "Description": "e", "KmsKeyId": "l",
    });
    world.rejected("UpdateSecret", request, "ResourceExistsException", &message).await;
    assert_eq!(world.ok("DescribeSecret", json!({})).await, described);
    assert_eq!(world.ok("GetSecretValue", json!({})).await["SecretString"], "1");
}

#[tokio::test]
async fn partial_arn_must_not_look_full() {
    let world = World::new().await;
    for (name, found) in [("name", true), ("name-a1b2", true), ("name-a1b2c3-", true), ("name-a1b2c3", false)]
    {
        let created = world.answer("CreateSecret", json!({ "Name": name }), 0).await;
        let arn = created["ARN"].as_str().unwrap();
        let partial = json!({ "SecretId": arn[..arn.len() - 7] });
        assert_eq!(world.ask("DescribeSecret", partial).await.is_ok(), found, "{name}");
        assert_eq!(world.ok("DescribeSecret", json!({ "SecretId": arn })).await["Name"], name);
    }
}
