//! Lists of secrets and versions.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::{World, names, token};

/// The version IDs of a page.
fn ids(page: &Json) -> Vec<&str> {
    page["Versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["VersionId"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn versions_are_listed_in_pages() {
    let world = World::with_secret().await;
    for number in 1..5 {
        world.answer("PutSecretValue", json!({ "SecretString": number.to_string() }), number).await;
    }
    assert_eq!(ids(&world.ok("ListSecretVersionIds", json!({})).await), [token(3), token(4)]);
    let mut request = json!({ "IncludeDeprecated": true, "MaxResults": 2 });
    let mut listed = Vec::new();
    for (length, more) in [(2, true), (2, true), (1, false)] {
        let page = world.ok("ListSecretVersionIds", request.clone()).await;
        assert_eq!((ids(&page).len(), page["NextToken"].is_string()), (length, more));
        listed.extend(ids(&page).into_iter().map(str::to_owned));
        request["NextToken"] = page["NextToken"].clone();
    }
    assert_eq!(listed, (0..5).map(token).collect::<Vec<_>>());
    let page = world.ok("ListSecretVersionIds", json!({ "IncludeDeprecated": true })).await;
    assert_eq!(page["Versions"][0]["VersionStages"], json!(null));
    for wrong in ["a", "!", "OTk="] {
        let code = world.ask("ListSecretVersionIds", json!({ "NextToken": wrong })).await.unwrap_err().0;
        assert_eq!(code, "InvalidNextTokenException", "{wrong}");
    }
}

#[tokio::test]
async fn secrets_are_sorted_and_paged() {
    let world = World::new().await;
    for name in ["b", "c", "a"] {
        world.answer("CreateSecret", json!({ "Name": name, "SecretString": "v" }), 0).await;
        world.0.emulator().advance(Duration::from_secs(1));
    }
    world.ok("UpdateSecret", json!({ "SecretId": "b" })).await;
    world.ok("GetSecretValue", json!({ "SecretId": "c" })).await;
    for (request, expected) in [
        (json!({}), ["b", "c", "a"]),
        (json!({ "SortOrder": "desc" }), ["a", "c", "b"]),
        (json!({ "SortBy": "name" }), ["a", "b", "c"]),
        (json!({ "SortBy": "created-date", "SortOrder": "asc" }), ["b", "c", "a"]),
        (json!({ "SortBy": "last-changed-date" }), ["c", "a", "b"]),
        (json!({ "SortBy": "last-accessed-date", "SortOrder": "desc" }), ["c", "a", "b"]),
    ] {
        assert_eq!(names(&world.ok("ListSecrets", request.clone()).await), expected, "{request}");
    }
    let first = world.ok("ListSecrets", json!({ "MaxResults": 2 })).await;
    assert_eq!(names(&first), ["b", "c"]);
    let rest = json!({ "MaxResults": 2, "NextToken": first["NextToken"] });
    let rest = world.ok("ListSecrets", rest).await;
    assert_eq!((names(&rest), &rest["NextToken"]), (vec!["a".to_owned()], &json!(null)));
    assert_eq!(rest["SecretList"][0]["SecretVersionsToStages"], json!({ token(0): ["AWSCURRENT"] }));
}

#[tokio::test]
async fn filters_match_as_documented() {
    let world = World::new().await;
    for (name, description, key) in [
        ("one/first", "a secret", "Team"),
        ("/two", "An OLD secret", "team"),
        ("three", "asecret", "owner"),
        ("/four", "thesecret", "owner"),
    ] {
        let tags = [json!({ "Key": key, "Value": "red" })];
        let create = json!({ "Name": name, "Description": description, "Tags": tags });
        world.answer("CreateSecret", create, 0).await;
    }
    for (key, value, expected) in [
        ("name", "/", &["/two", "/four"][..]),
        ("name", "!/", &["one/first", "three"]),
        ("name", "ONE", &[]),
        ("name", "one first", &[]),
        ("description", "a", &["one/first", "/two", "three"]),
        ("description", "!a", &["/four"]),
        ("description", "a secret", &["one/first", "/two"]),
        ("description", "secret old", &["/two"]),
        ("tag-key", "te", &["/two"]),
        ("tag-value", "r", &["one/first", "/two", "three", "/four"]),
        ("tag-value", "R", &[]),
        ("primary-region", "us", &[]),
        ("owning-service", "rds", &[]),
        ("all", "TEAM", &["one/first", "/two"]),
        ("all", "thesecret red", &["/four"]),
    ] {
        assert_eq!(world.listed(key, value).await, expected, "{key} {value}");
    }
    let filter = |key: &str, values: Json| json!({ "Key": key, "Values": values });
    let request =
        json!({ "Filters": [filter("name", json!(["/", "one"])), filter("tag-key", json!(["T"]))] });
    assert_eq!(names(&world.ok("ListSecrets", request).await), ["one/first"]);
}
