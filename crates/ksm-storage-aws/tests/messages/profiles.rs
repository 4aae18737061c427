//! Missing or malformed profiles, and names that are not ASCII.

use crate::{Row, World};

const KEYS: &str = "aws_access_key_id = AKIA\naws_secret_access_key = s3cret\n";

#[tokio::test(flavor = "multi_thread")]
async fn missing_profiles_are_named() {
    let world = World::new().await;
    let config = world.path("config");
    let row = |mode| Row::new("missing profile", mode, "invalid_argument").set("AWS_REGION", "us-east-1");
    let words =
        ["the profile \"typo\" does not exist", "AWS_PROFILE", &*config, "aws configure list-profiles"];
    world.check(row("default").set("AWS_PROFILE", "typo").says(&words)).await;
    world.server.metadata().set_role(None);
    world.check(row("ec2").set("AWS_PROFILE", "typo").says(&words)).await;
    world.check(row("profile").says(&["the profile \"work\" does not exist", &config])).await;
    let unquoted = row("default").config("[profile My Mac]\n").set("AWS_PROFILE", "My Mac");
    world.check(unquoted.says(&["write [profile \"My Mac\"]", "needs quotes"])).await;
    let missing = row("default").set("AWS_PROFILE", "typo").set("AWS_CONFIG_FILE", "/no/such/file");
    world.check(missing.says(&["/no/such/file (which does not exist)"])).await;
    let role = "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/reader\nsource_profile = gone\n";
    let source = row("profile").config(role);
    world
        .check(source.says(&["source_profile in profile \"work\"", "there is no profile \"gone\"", &config]))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_files_name_their_line() {
    let world = World::new().await;
    let config = world.path("config");
    let row = || Row::new("unreadable file", "profile", "invalid_argument");
    // The first two lines belong to the default profile.
    world.check(row().config("[profile work]\nregion\n").says(&[&config, "line 4", "KEY = VALUE"])).await;
    world.check(row().config("[profile work\n").says(&[&config, "line 3", "closing bracket"])).await;
    let credentials = world.file("credentials", b"[work]\n\xff\n");
    let credentials = credentials.to_str().unwrap();
    let binary = row().set("AWS_SHARED_CREDENTIALS_FILE", credentials);
    world.check(binary.says(&[credentials, "line 2", "UTF-8"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_signs_of_boto3_work() {
    let world = World::new().await;
    let url = world.server.url();
    for (header, name) in [
        ("profile \"My Mac\"", "My Mac"),
        ("profile 'My Mac'", "My Mac"),
        ("profile M\u{fc}nchen", "M\u{fc}nchen"),
        ("profile \"\u{65e5}\u{672c} 1\"", "\u{65e5}\u{672c} 1"),
        ("profile 100%", "100%"),
        ("profile \"a]b\"", "a]b"),
    ] {
        let config =
            format!("[{header}]\nregion: us-east-1\nendpoint_url={url}\n{}", KEYS.replace(" =", ":"));
        world.works(Row::new("name", "default", "").config(config).set("AWS_PROFILE", name)).await;
        let credentials = world.file("credentials", format!("[{name}]\n{KEYS}"));
        let config = format!(
            "[{header}]\nregion = us-east-1\nservices = my services\n[services \"my services\"]\nsecrets_manager =\n  endpoint_url = {url}\n"
        );
        let row = Row::new("services", "default", "").config(config).set("AWS_PROFILE", name);
        world.works(row.set("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap())).await;
    }
}
