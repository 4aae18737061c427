//! Metadata of a secret: dates, tags, resource policy, replicas.

use std::time::{Duration, UNIX_EPOCH};

use ksm_storage_emulator::{Emulator, Server};
use serde_json::{Value as Json, json};

use crate::{DAY, NOW, World, date, token};

#[tokio::test]
async fn dates_follow_the_clock() {
    let world = World::with_secret().await;
    let described = world.ok("DescribeSecret", json!({})).await;
    assert_eq!(members(&described), "ARN CreatedDate LastChangedDate Name VersionIdsToStages");
    assert_eq!(
        (&described["CreatedDate"], &described["LastChangedDate"]),
        (&json!(date(NOW)), &json!(date(NOW)))
    );

    world.0.emulator().advance(Duration::from_millis(1500));
    world.answer("PutSecretValue", json!({ "SecretString": "1" }), 1).await;
    let put = date(NOW) + 1.5;
    assert_eq!(world.ok("GetSecretValue", json!({})).await["CreatedDate"], put);
    let described = world.ok("DescribeSecret", json!({})).await;
    assert_eq!((&described["CreatedDate"], &described["LastChangedDate"]), (&json!(date(NOW)), &json!(put)));
    // The date of the last access has no time of day.
    let midnight = date(NOW - NOW % DAY);
    assert_eq!(described["LastAccessedDate"], midnight);
    let key = json!(["DefaultEncryptionKey"]);
    assert_eq!(
        world.ok("ListSecretVersionIds", json!({})).await["Versions"],
        json!([
            { "VersionId": token(0), "VersionStages": ["AWSPREVIOUS"], "CreatedDate": date(NOW), "KmsKeyIds": key },
            {
                "VersionId": token(1), "VersionStages": ["AWSCURRENT"], "CreatedDate": put,
                "LastAccessedDate": midnight, "KmsKeyIds": key,
            },
        ])
    );
}

#[tokio::test]
async fn changes_are_dated() {
    let world = World::with_secret().await;
    let policy = r#"{"Statement": []}"#;
    let regions = json!([{ "Region": "eu-west-1" }]);
    let mut changed = date(NOW);
    for (action, request) in [
        ("UpdateSecret", json!({})),
        ("UpdateSecretVersionStage", json!({ "VersionStage": "mine", "MoveToVersionId": token(0) })),
        ("TagResource", json!({ "Tags": [{ "Key": "k" }] })),
        ("UntagResource", json!({ "TagKeys": ["k"] })),
        ("PutResourcePolicy", json!({ "ResourcePolicy": policy })),
        ("DeleteResourcePolicy", json!({})),
        ("ReplicateSecretToRegions", json!({ "AddReplicaRegions": regions })),
        ("RemoveRegionsFromReplication", json!({ "RemoveReplicaRegions": ["eu-west-1"] })),
        ("DeleteSecret", json!({})),
        ("RestoreSecret", json!({})),
    ] {
        world.0.emulator().advance(Duration::from_secs(1));
        changed += 1.0;
        world.ok(action, request).await;
        assert_eq!(world.ok("DescribeSecret", json!({})).await["LastChangedDate"], changed, "{action}");
    }
}

#[tokio::test]
async fn system_time_is_the_default() {
    let world = World(Server::start(Emulator::new("us-east-1")).await.unwrap());
    let seconds = || UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let before = seconds();
    world.answer("CreateSecret", json!({ "Name": "s" }), 0).await;
    let created = world.ok("DescribeSecret", json!({})).await["CreatedDate"].as_f64().unwrap();
    // Dates have millisecond precision.
    assert!(before - 0.001 <= created && created <= seconds(), "{before} {created}");
}

#[tokio::test]
async fn absent_members_are_omitted() {
    let world = World::new().await;
    world.answer("CreateSecret", json!({ "Name": "s", "Description": "" }), 0).await;
    let described = world.ok("DescribeSecret", json!({})).await;
    assert_eq!(members(&described), "ARN CreatedDate LastChangedDate Name");
}

#[tokio::test]
async fn tags_are_replaced_and_removed() {
    let world = World::new().await;
    let tag = |key: &str, value: &str| json!({ "Key": key, "Value": value });
    let create = json!({ "Name": "s", "Description": "d", "Tags": [tag("a", "1")] });
    world.answer("CreateSecret", create, 0).await;
    let tagged = world.ok("TagResource", json!({ "Tags": [tag("b", "2"), tag("a", "3")] })).await;
    assert_eq!(tagged, json!({}));
    let described = world.ok("DescribeSecret", json!({})).await;
    assert_eq!(described["Description"], "d");
    assert_eq!(described["Tags"], json!([tag("a", "3"), tag("b", "2")]));
    world.ok("UntagResource", json!({ "TagKeys": ["a", "b", "c"] })).await;
    // A secret that once had tags keeps an empty list.
    assert_eq!(world.ok("DescribeSecret", json!({})).await["Tags"], json!([]));
}

fn members(reply: &Json) -> String {
    let mut members: Vec<_> = reply.as_object().unwrap().keys().cloned().collect();
    members.sort();
    members.join(" ")
}

fn policy(principal: &Json) -> String {
    let statement = json!({
        "Effect": "Allow", "Principal": principal, "Action": "secretsmanager:GetSecretValue", "Resource": "*",
    });
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

#[tokio::test]
async fn policies_are_stored_and_checked() {
    let world = World::with_secret().await;
    let (own, everybody) = (policy(&json!({ "AWS": "arn:aws:iam::1:root" })), policy(&json!("*")));
    assert_eq!(members(&world.ok("GetResourcePolicy", json!({})).await), "ARN Name");
    for policy in [&own, &everybody] {
        let put = world.ok("PutResourcePolicy", json!({ "ResourcePolicy": policy })).await;
        assert_eq!(members(&put), "ARN Name");
        assert_eq!(world.ok("GetResourcePolicy", json!({})).await["ResourcePolicy"], **policy);
    }
    let message = "This policy has invalid syntax.";
    for wrong in [
        "{",
        "[]",
        "{}",
        r#"{"Statement": [{}]}"#,
        &own.replace("2012", "2019"),
        &own.replace("Allow", "Maybe"),
    ] {
        let request = json!({ "ResourcePolicy": wrong });
        world
            .rejected("PutResourcePolicy", request.clone(), "MalformedPolicyDocumentException", message)
            .await;
        assert_eq!(
            world.ok("ValidateResourcePolicy", request).await["PolicyValidationPassed"],
            false,
            "{wrong}"
        );
    }
    let listed = policy(&json!({ "AWS": ["*"] }));
    let denied = everybody.replace("Allow", "Deny");
    let conditional = everybody.replace(r#""Effect""#, r#""Condition": {}, "Effect""#);
    for (policy, public) in
        [(&everybody, true), (&listed, true), (&denied, false), (&conditional, false), (&own, false)]
    {
        let request = json!({ "ResourcePolicy": policy, "BlockPublicPolicy": true });
        let code = world.ask("PutResourcePolicy", request).await.err().map(|(code, _)| code);
        assert_eq!(code.as_deref(), public.then_some("PublicPolicyException"), "{policy}");
        let validated = world.ok("ValidateResourcePolicy", json!({ "ResourcePolicy": policy })).await;
        assert_eq!(validated["PolicyValidationPassed"], !public, "{policy}");
    }
    assert_eq!(world.ok("GetResourcePolicy", json!({})).await["ResourcePolicy"], own);
    world.ok("DeleteResourcePolicy", json!({})).await;
    assert_eq!(members(&world.ok("GetResourcePolicy", json!({})).await), "ARN Name");
}

#[tokio::test]
async fn replicas_are_recorded() {
    let world = World::new().await;
    let invalid = "InvalidParameterException";
    let create =
        |regions| json!({ "Name": "s", "AddReplicaRegions": regions, "ClientRequestToken": token(0) });
    world
        .rejected(
            "CreateSecret",
            create(json!([{ "Region": "us-east-1" }])),
            invalid,
            "Invalid replica region.",
        )
        .await;
    let created = world.ok("CreateSecret", create(json!([{ "Region": "eu-west-1" }]))).await;
    let status =
        |region: &str, key: &str| json!({ "Region": region, "KmsKeyId": key, "Status": "InProgress" });
    let default = "alias/aws/secretsmanager";
    assert_eq!(created["ReplicationStatus"], json!([status("eu-west-1", default)]));
    let regions = json!([{ "Region": "eu-west-2" }, { "Region": "eu-west-2", "KmsKeyId": "k" }]);
    let replicated = world.ok("ReplicateSecretToRegions", json!({ "AddReplicaRegions": regions })).await;
    assert_eq!(
        replicated["ReplicationStatus"],
        json!([status("eu-west-1", default), status("eu-west-2", "k")])
    );

    let described = world.ok("DescribeSecret", json!({})).await;
    assert_eq!(described["PrimaryRegion"], "us-east-1");
    let mut replica = status("eu-west-2", "k");
    (replica["Status"], replica["StatusMessage"]) = ("InSync".into(), "Replication succeeded".into());
    assert_eq!(described["ReplicationStatus"][1], replica);

    let request = json!({ "ForceDeleteWithoutRecovery": true });
    let message = "You can't delete secret s that still has replica regions [eu-west-1,eu-west-2]";
    world.rejected("DeleteSecret", request.clone(), invalid, message).await;
    let regions = json!({ "RemoveReplicaRegions": ["eu-west-1", "eu-west-2"] });
    assert_eq!(world.ok("RemoveRegionsFromReplication", regions).await["ReplicationStatus"], json!(null));
    world.ok("DeleteSecret", request).await;
}

#[tokio::test]
async fn replicas_are_changed_by_their_primary() {
    let world = World::with_secret().await;
    world.0.emulator().secret("s").replicate_from("eu-west-1");
    assert_eq!(world.ok("DescribeSecret", json!({})).await["PrimaryRegion"], "eu-west-1");
    let message =
        "Operation not permitted on a replica secret. Call must be made in primary secret's region.";
    for (action, request) in [
        ("PutSecretValue", json!({ "SecretString": "v", "ClientRequestToken": token(1) })),
        ("UpdateSecret", json!({})),
        ("UpdateSecretVersionStage", json!({ "VersionStage": "mine" })),
        ("DeleteSecret", json!({})),
        ("RestoreSecret", json!({})),
        ("TagResource", json!({ "Tags": [] })),
        ("ReplicateSecretToRegions", json!({ "AddReplicaRegions": [{ "Region": "eu-west-2" }] })),
    ] {
        world.rejected(action, request, "InvalidParameterException", message).await;
    }
}

#[tokio::test]
async fn replicas_follow_lag_and_are_promoted() {
    let world = World::with_secret().await;
    let primary = world.0.emulator();
    let west = Server::start(primary.add_region("us-west-2")).await.unwrap();
    let west = World(west);
    primary.set_replication_lag(Duration::from_secs(30));
    let regions = json!({ "AddReplicaRegions": [{ "Region": "us-west-2" }] });
    world.ok("ReplicateSecretToRegions", regions).await;
    primary.advance(Duration::from_secs(30));
    let value = |found: Json| found["SecretString"].as_str().map(str::to_owned);
    let found = west.ok("GetSecretValue", json!({})).await;
    assert!(found["ARN"].as_str().unwrap().starts_with("arn:aws:secretsmanager:us-west-2:"), "{found}");
    assert_eq!(value(found).as_deref(), Some("0"));
    let described = west.ok("DescribeSecret", json!({})).await;
    assert_eq!(described["PrimaryRegion"], "us-east-1");

    world.answer("PutSecretValue", json!({ "SecretId": "s", "SecretString": "1" }), 1).await;
    primary.advance(Duration::from_secs(29));
    assert_eq!(value(west.ok("GetSecretValue", json!({})).await).as_deref(), Some("0"));
    primary.advance(Duration::from_secs(1));
    assert_eq!(value(west.ok("GetSecretValue", json!({})).await).as_deref(), Some("1"));

    let put = json!({ "SecretString": "2", "ClientRequestToken": token(2) });
    let message =
        "Operation not permitted on a replica secret. Call must be made in primary secret's region.";
    west.rejected("PutSecretValue", put.clone(), "InvalidParameterException", message).await;
    west.ok("StopReplicationToReplica", json!({})).await;
    west.ok("PutSecretValue", put).await;
    assert_eq!(value(west.ok("GetSecretValue", json!({})).await).as_deref(), Some("2"));
    assert_eq!(value(world.ok("GetSecretValue", json!({})).await).as_deref(), Some("1"));
    assert_eq!(world.ok("DescribeSecret", json!({})).await["ReplicationStatus"], json!(null));
}

#[tokio::test]
async fn removed_replica_is_gone() {
    let world = World::with_secret().await;
    let west = World(Server::start(world.0.emulator().add_region("us-west-2")).await.unwrap());
    world.ok("ReplicateSecretToRegions", json!({ "AddReplicaRegions": [{ "Region": "us-west-2" }] })).await;
    west.ok("GetSecretValue", json!({})).await;
    world.ok("RemoveRegionsFromReplication", json!({ "RemoveReplicaRegions": ["us-west-2"] })).await;
    let message = "Secrets Manager can't find the specified secret.";
    west.rejected("GetSecretValue", json!({}), "ResourceNotFoundException", message).await;
}
