//! Requests that are rejected before any secret is looked up.

use serde_json::{Value as Json, json};

use crate::{World, token};

#[tokio::test]
async fn invalid_names_are_refused() {
    const MESSAGE: &str = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!";
    let world = World::new().await;
    let token = token(0);
    for name in ["a b", " a", "a*", "a?", "a\\", "ä", "arn:aws:secretsmanager:us-east-1:1:secret:a b"] {
        let create = json!({ "Name": name, "SecretString": "v", "ClientRequestToken": token });
        world.rejected("CreateSecret", create, "ValidationException", MESSAGE).await;
        for (action, mut request) in [
            ("DeleteSecret", json!({ "ForceDeleteWithoutRecovery": true })),
            ("DescribeSecret", json!({})),
            ("GetSecretValue", json!({})),
            ("ListSecretVersionIds", json!({})),
            ("PutSecretValue", json!({ "SecretString": "v", "ClientRequestToken": token })),
            ("TagResource", json!({ "Tags": [{ "Key": "k", "Value": "v" }] })),
            ("UntagResource", json!({ "TagKeys": ["k"] })),
            ("UpdateSecret", json!({ "Description": "d" })),
            ("ValidateResourcePolicy", json!({ "ResourcePolicy": "{}" })),
        ] {
            request["SecretId"] = name.into();
            world.rejected(action, request, "ValidationException", MESSAGE).await;
        }
    }
    world.answer("CreateSecret", json!({ "Name": "aZ09-/_+=.@!" }), 0).await;
}

#[tokio::test]
async fn violated_constraints_are_named() {
    let world = World::with_secret().await;
    let long = |len| "x".repeat(len);
    let tags = json!([{ "Key": "k" }, { "Key": "", "Value": long(257) }]);
    for (action, request, violations) in [
        ("GetSecretValue", json!({ "SecretId": "" }), "1 validation error detected: Value '' at 'secretId' failed to satisfy constraint: Member must have length greater than or equal to 1".to_owned()),
        ("GetSecretValue", json!({ "SecretId": long(2049) }), format!("1 validation error detected: Value '{}' at 'secretId' failed to satisfy constraint: Member must have length less than or equal to 2048", long(2049))),
        ("GetSecretValue", json!({ "VersionId": "v1", "VersionStage": "" }), "2 validation errors detected: Value 'v1' at 'versionId' failed to satisfy constraint: Member must have length greater than or equal to 32; Value '' at 'versionStage' failed to satisfy constraint: Member must have length greater than or equal to 1".to_owned()),
        ("PutSecretValue", json!({ "SecretString": "" }), "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length greater than or equal to 1".to_owned()),
        ("PutSecretValue", json!({ "SecretString": long(65_537) }), "1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536".to_owned()),
        ("PutSecretValue", json!({ "SecretBinary": "" }), "1 validation error detected: Value at 'secretBinary' failed to satisfy constraint: Member must have length greater than or equal to 1".to_owned()),
        ("PutSecretValue", json!({ "VersionStages": ["a", ""] }), "1 validation error detected: Value '[a, ]' at 'versionStages' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 256, Member must have length greater than or equal to 1]".to_owned()),
        ("PutSecretValue", json!({ "VersionStages": [] }), "1 validation error detected: Value '[]' at 'versionStages' failed to satisfy constraint: Member must have length greater than or equal to 1".to_owned()),
        ("UpdateSecretVersionStage", json!({}), "1 validation error detected: Value null at 'versionStage' failed to satisfy constraint: Member must not be null".to_owned()),
        ("UpdateSecret", json!({ "ClientRequestToken": long(65) }), format!("1 validation error detected: Value '{}' at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to 64", long(65))),
        ("TagResource", json!({ "Tags": tags }), format!("2 validation errors detected: Value '' at 'tags.2.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '{}' at 'tags.2.member.value' failed to satisfy constraint: Member must have length less than or equal to 256", long(257))),
        ("ListSecrets", json!({ "MaxResults": 0 }), "1 validation error detected: Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1".to_owned()),
        ("ListSecrets", json!({ "MaxResults": 101 }), "1 validation error detected: Value '101' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100".to_owned()),
        ("ListSecrets", json!({ "SortOrder": "up" }), "1 validation error detected: Value 'up' at 'sortOrder' failed to satisfy constraint: Member must satisfy enum value set: [asc, desc]".to_owned()),
        ("ReplicateSecretToRegions", json!({ "AddReplicaRegions": [{ "Region": "Mars" }] }), r"1 validation error detected: Value 'Mars' at 'addReplicaRegions.1.member.region' failed to satisfy constraint: Member must satisfy regular expression pattern: ^([a-z]+-)+\d+$".to_owned()),
    ] {
        world.rejected(action, request, "ValidationException", &violations).await;
    }
    for (action, request, message) in [
        ("GetSecretValue", json!({ "SecretId": 1 }), "NUMBER_VALUE can not be converted to a String"),
        ("PutSecretValue", json!({ "VersionStages": "a" }), "STRING_VALUE can not be converted to a List"),
        (
            "PutSecretValue",
            json!({ "VersionStages": [{}] }),
            "START_OF_STRUCTURE can not be converted to a String",
        ),
        ("ListSecrets", json!({ "Filters": [1] }), "NUMBER_VALUE can not be converted to a Structure"),
        (
            "ListSecretVersionIds",
            json!({ "IncludeDeprecated": 1 }),
            "NUMBER_VALUE can not be converted to a Boolean",
        ),
    ] {
        world.rejected(action, request, "SerializationException", message).await;
    }
}

#[tokio::test]
async fn limits_themselves_are_accepted() {
    let world = World::with_secret().await;
    let long = |len| "x".repeat(len);
    let create =
        json!({ "Name": long(512), "Description": "ä".repeat(2048), "ClientRequestToken": long(64) });
    world.ok("CreateSecret", create).await;
    world
        .answer("PutSecretValue", json!({ "SecretString": long(65_536), "VersionStages": [long(256)] }), 1)
        .await;
    world.ok("TagResource", json!({ "Tags": [{ "Key": long(128), "Value": "" }] })).await;
    world.ok("ListSecrets", json!({ "MaxResults": 100, "NextToken": Json::Null })).await;
}

#[tokio::test]
async fn tokens_are_required_for_values() {
    let world = World::new().await;
    let message = "You must provide a ClientRequestToken value. We recommend a UUID-type value.";
    for action in ["CreateSecret", "PutSecretValue", "UpdateSecret"] {
        let name = if action == "CreateSecret" { "Name" } else { "SecretId" };
        world
            .rejected(action, json!({ name: "s", "SecretString": "v" }), "InvalidRequestException", message)
            .await;
    }
}

#[tokio::test]
async fn regions_have_words_and_number() {
    let world = World::with_secret().await;
    for (region, valid) in [
        ("eu-west-1", true),
        ("us-gov-east-10", true),
        ("us-1", true),
        ("us-east", false),
        ("us-east-", false),
        ("us--1", false),
        ("-1", false),
        ("1", false),
        ("us-1-1", false),
        ("US-east-1", false),
    ] {
        let request = json!({ "AddReplicaRegions": [{ "Region": region }] });
        assert_eq!(world.ask("ReplicateSecretToRegions", request).await.is_ok(), valid, "{region}");
    }
}
