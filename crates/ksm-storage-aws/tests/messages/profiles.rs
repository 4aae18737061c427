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
    // The region that is missing may be in that file.
    let default = Row::new("unreadable file", "default", "invalid_argument").config("[profile work\n");
    let default = default.keys().set("AWS_EC2_METADATA_DISABLED", "true");
    world.check(default.says(&[&config, "line 3", "closing bracket"])).await;
}

/// To open one would wait for a writer, past every deadline.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn named_pipes_are_rejected() {
    let world = World::new().await;
    let pipes = [".aws/credentials", "pipe"].map(|name| {
        let path = world.file(name, "");
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        path.to_str().unwrap().to_owned()
    });
    let row = || Row::new("named pipe", "default", "invalid_argument").set("AWS_REGION", "us-east-1");
    let own = row().set("AWS_SHARED_CREDENTIALS_FILE", "").set("AWS_EC2_METADATA_DISABLED", "true");
    world.check(own.says(&[&pipes[0], "it is a named pipe"])).await;
    for variable in [
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    ] {
        let row = row().set("AWS_SHARED_CREDENTIALS_FILE", "/dev/null").set(variable, &*pipes[1]);
        let row = match variable {
            "AWS_WEB_IDENTITY_TOKEN_FILE" => row.set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader"),
            _ => row.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/"),
        };
        world.check(row.says(&[&format!("invalid {variable}: it is a named pipe")])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_chains_of_roles_end() {
    let world = World::new().await;
    let role = "role_arn = arn:aws:iam::123456789012:role/reader\n";
    let chain =
        (0..2_000).map(|index| format!("[profile p{index}]\n{role}source_profile = p{}\n", index + 1));
    let config = format!(
        "[profile work]\nregion = us-east-1\n{role}source_profile = p0\n{}",
        chain.collect::<String>()
    );
    let row = Row::new("chain", "profile", "invalid_argument").config(config);
    world.check(row.says(&["source_profile in profile \"p9\"", "more than 10 roles in a chain"])).await;
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
