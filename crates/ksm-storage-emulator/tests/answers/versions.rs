//! Versions and their labels.

use serde_json::json;

use crate::{World, token};

#[tokio::test]
async fn missing_versions_are_named() {
    let world = World::with_secret().await;
    let (stage, id) = ("for staging label: AWSPREVIOUS", format!("for VersionId: {}", token(7)));
    for (request, wanted) in [
        (json!({ "VersionStage": "AWSPREVIOUS" }), stage),
        (json!({ "VersionStage": "mine" }), "for staging label: mine"),
        (json!({ "VersionId": token(7) }), &id),
    ] {
        let message = format!("Secrets Manager can't find the specified secret value {wanted}");
        world.rejected("GetSecretValue", request, "ResourceNotFoundException", &message).await;
    }
    world.answer("CreateSecret", json!({ "Name": "empty" }), 1).await;
    let message = "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT";
    world
        .rejected("GetSecretValue", json!({ "SecretId": "empty" }), "ResourceNotFoundException", message)
        .await;
}

#[tokio::test]
async fn put_takes_pending_label_away() {
    let world = World::with_secret().await;
    let stages = json!(["AWSPENDING", "mine"]);
    world.answer("PutSecretValue", json!({ "SecretString": "1", "VersionStages": stages }), 1).await;
    let request = json!({
        "VersionStage": "AWSCURRENT", "MoveToVersionId": token(1), "RemoveFromVersionId": token(0),
    });
    world.ok("UpdateSecretVersionStage", request).await;
    let moved = json!({ token(0): ["AWSPREVIOUS"], token(1): ["AWSCURRENT", "AWSPENDING", "mine"] });
    assert_eq!(world.stages().await, moved);
    world.answer("PutSecretValue", json!({ "SecretString": "2" }), 2).await;
    assert_eq!(world.stages().await, json!({ token(1): ["AWSPREVIOUS", "mine"], token(2): ["AWSCURRENT"] }));
}

#[tokio::test]
async fn move_must_name_the_holder() {
    let world = World::with_secret().await;
    world.answer("PutSecretValue", json!({ "SecretString": "1" }), 1).await;
    let (first, second) = (token(0), token(1));
    let request = json!({ "VersionStage": "AWSCURRENT", "MoveToVersionId": first });
    let message = format!(
        "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version {second}, so you must explicitly reference that version in RemoveFromVersionId."
    );
    world.rejected("UpdateSecretVersionStage", request.clone(), "InvalidParameterException", &message).await;
    let mut wrong = request;
    wrong["RemoveFromVersionId"] = first.into();
    let message = "When you move staging label AWSCURRENT, if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label AWSCURRENT.";
    world.rejected("UpdateSecretVersionStage", wrong, "InvalidParameterException", message).await;
}
