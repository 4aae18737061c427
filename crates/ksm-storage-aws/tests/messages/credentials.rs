//! Credential sources that provide none.

#[cfg(target_os = "linux")]
use std::{fs, os::unix::fs::symlink, os::unix::net::UnixListener, path::Path};

use ksm_storage_emulator::{Action, Fault};

use crate::{
    CLOSED, Row, World,
    servers::{canned, http},
};

const STS: &str = "AWS_ENDPOINT_URL_STS";
const ROLE: &str = "arn:aws:iam::123456789012:role/reader";

/// A profile `work` that assumes a role with the credentials of the profile `base`.
pub(crate) fn role(rest: &str) -> String {
    format!(
        "[profile work]\nregion = us-east-1\nrole_arn = {ROLE}\nsource_profile = base\n{rest}[profile base]\n\
         aws_access_key_id = AKIA\naws_secret_access_key = s3cret\n"
    )
}

/// An STS error response.
fn sts(code: &str, message: &str) -> String {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    format!("http://{}", canned(http(403, "content-type: text/xml\r\n", &body)))
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_roles_are_named() {
    let world = World::new().await;
    let message = format!(
        "User: arn:aws:iam::123456789012:user/me is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
    );
    let row = |name, config: String| {
        Row::new(name, "profile", "credentials").config(config).says(&["profile \"work\"", ROLE])
    };
    let denied = row("role denied", role("")).set(STS, sts("AccessDenied", &message));
    let words = [
        "the role may not be assumed",
        "arn:aws:iam::123456789012:user/me is not authorized to perform sts:AssumeRole",
    ];
    world
        .check(denied.says(&words).says(&["trust policy", "aws sts get-caller-identity --profile work"]))
        .await;
    let device = "arn:aws:iam::123456789012:mfa/me";
    let mfa = row("MFA", role(&format!("mfa_serial = {device}\n"))).set(STS, sts("AccessDenied", &message));
    world.check(mfa.says(&["the role requires a code of an MFA device", "get-session-token", device])).await;
    let skewed = row("clock skew at STS", role(""))
        .set(STS, sts("SignatureDoesNotMatch", "Signature expired: 20150101T000000Z is now earlier than x"));
    world.check(skewed.says(&["the clock of this host is wrong", "date -u"])).await;
    let keys = row("rejected keys", role("")).set(STS, sts("InvalidClientTokenId", "s3cret"));
    world.check(keys.says(&["InvalidClientTokenId", "refused"])).await;
    let mut closed = row("STS refused", role("")).set(STS, CLOSED);
    (closed.kind, closed.retryable) = ("unavailable", true);
    world
        .check(closed.says(&["http://127.0.0.1:9 (from AWS_ENDPOINT_URL_STS): the connection was refused"]))
        .await;
    let mut silent = row("STS is silent", role("")).set(STS, format!("http://{}", canned(Vec::new())));
    (silent.kind, silent.retryable) = ("timeout", true);
    world.check(silent.says(&["from AWS_ENDPOINT_URL_STS", "no reply arrived in time"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn token_files_are_named() {
    let world = World::new().await;
    let web = |file: &str| {
        Row::new("web identity", "default", "credentials")
            .set("AWS_ENDPOINT_URL_SECRETS_MANAGER", world.server.url())
            .set("AWS_WEB_IDENTITY_TOKEN_FILE", file)
            .set("AWS_ROLE_ARN", ROLE)
    };
    let words = [
        "the token file cannot be read: \"/no/such/token\" (entity not found)",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ];
    world.check(web("/no/such/token").set(STS, world.server.url()).says(&words)).await;
    let token = world.file("token", "the.token");
    for code in ["InvalidIdentityToken", "IDPRejectedClaim", "AccessDenied"] {
        let denied = web(token.to_str().unwrap()).set(STS, sts(code, "s3cret"));
        world.check(denied.says(&["STS rejected the web identity token", code, ROLE, "trust policy"])).await;
    }
    let container = Row::new("container", "default", "credentials")
        .set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/creds")
        .set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/no/such/token");
    let words =
        ["the token file cannot be read: \"/no/such/token\"", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
    world.check(container.says(&words)).await;
    let binary = world.file("binary", b"\x00\xff").to_str().unwrap().to_owned();
    let unusable = Row::new("container token", "default", "credentials")
        .set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/creds")
        .set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", binary);
    world
        .check(unusable.says(&["check the content of the file", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]))
        .await;
    let refused = Row::new("container refused", "default", "unavailable")
        .set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/creds");
    world
        .check(refused.says(&["container credentials: http://127.0.0.1:9 (from AWS_CONTAINER_CREDENTIALS_FULL_URI): the connection was refused"]))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_sign_ins_name_the_command() {
    let world = World::new().await;
    let sign_in = "sso_account_id = 123456789012\nsso_role_name = reader\nsso_region = us-east-1\n\
                   sso_start_url = https://example.com/start\n";
    let row = |name, profile: &str| {
        Row::new(name, "default", "credentials")
            .config(format!("[profile {profile}]\nregion = us-east-1\n{sign_in}"))
            .set("AWS_PROFILE", profile.trim_matches('"'))
            .set("AWS_ENDPOINT_URL", world.server.url())
    };
    let ended = "the IAM Identity Center session is missing or has expired";
    world.check(row("never signed in", "work").says(&[ended, "aws sso login --profile work"])).await;
    world
        .check(row("never signed in", "\"My Mac\"").says(&[ended, "aws sso login --profile 'My Mac'"]))
        .await;
    // SHA-1 of the start URL.
    let token = |name, until| {
        world.file(
            &format!(".aws/sso/cache/{name}.json"),
            format!(r#"{{"accessToken":"s3cret","expiresAt":"{until}-01-01T00:00:00Z","startUrl":"https://example.com/start","region":"us-east-1"}}"#),
        )
    };
    token("b343494cf15ba6b81449840ea93161cf3b27e5e3", 2999);
    // SHA-1 of the session name. This token cannot be refreshed.
    token("fcbdc4c271c889825d8338d2d8f10b6e5e95c171", 2020);
    let mut expired = row("expired sign-in", "work");
    expired.config =
        "[profile work]\nregion = us-east-1\nsso_session = session\nsso_account_id = 123456789012\n\
                      sso_role_name = reader\n[sso-session session]\nsso_region = us-east-1\n\
                      sso_start_url = https://example.com/start\n"
            .to_owned();
    world.check(expired.says(&[ended, "aws sso login --profile work"])).await;
    world.server.emulator().expect_sso_token("other");
    world.check(row("revoked sign-in", "work").says(&[ended, "UnauthorizedException"])).await;
    world.server.emulator().expect_sso_token("s3cret");
    world.server.emulator().fail(Action::GetRoleCredentials, [Fault::refuse("ForbiddenException")]);
    let forbidden = "the IAM Identity Center user has no access to the account with this role";
    world.check(row("not assigned", "work").says(&[forbidden, "sso_role_name"])).await;
    let mut incomplete = row("incomplete sign-in", "work");
    (incomplete.kind, incomplete.config) =
        ("invalid_argument", incomplete.config.replace("sso_role_name", "x"));
    world.check(incomplete.says(&["sso_role_name in profile \"work\""])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn login_profiles_work_or_name_command() {
    let world = World::new().await;
    let session = "arn:aws:iam::123456789012:user/me";
    let row = || {
        Row::new("aws login", "default", "credentials")
            .config(format!("[profile work]\nregion = us-east-1\nlogin_session = {session}\n"))
            .set("AWS_PROFILE", "work")
            .set("AWS_ENDPOINT_URL", world.server.url())
    };
    world
        .check(row().says(&["the `aws login` session is missing or has expired", "aws login --profile work"]))
        .await;
    world.file(&format!(".aws/login/cache/{LOGIN}.json"), include_str!("login.json"));
    world.works(row()).await;
}

/// SHA-1 of the start URL, and of the session name.
const START_URL: &str = "b343494cf15ba6b81449840ea93161cf3b27e5e3";
const SESSION: &str = "fcbdc4c271c889825d8338d2d8f10b6e5e95c171";
/// SHA-256 of the session name.
const LOGIN: &str = "286187707741fc2ccb93cf9e56dbd0ee0a16208feed5fbc8ae1baa86d44c283f";

/// Files that the SDK itself reads: opening or reading one of these might never end.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn special_token_files_are_rejected() {
    let world = World::new().await;
    let profile = |profile: String| {
        Row::new("special file", "default", "credentials")
            .config(format!("[profile work]\nregion = us-east-1\n{profile}"))
            .set("AWS_PROFILE", "work")
            .set("AWS_ENDPOINT_URL", world.server.url())
    };
    let sign_in = "sso_account_id = 123456789012\nsso_role_name = reader\n";
    let portal = "sso_region = us-east-1\nsso_start_url = https://example.com/start\n";
    let caches = [
        (
            format!(".aws/sso/cache/{START_URL}.json"),
            format!("{sign_in}{portal}"),
            "aws sso login --profile work",
        ),
        (
            format!(".aws/sso/cache/{SESSION}.json"),
            format!("{sign_in}sso_session = session\n[sso-session session]\n{portal}"),
            "aws sso login --profile work",
        ),
        (
            format!(".aws/login/cache/{LOGIN}.json"),
            "login_session = arn:aws:iam::123456789012:user/me\n".to_owned(),
            "aws login --profile work",
        ),
    ];
    for (file, config, command) in caches {
        let path = world.file(&file, "");
        for (problem, create) in SPECIAL {
            fs::remove_file(&path).unwrap();
            create(&path);
            let words = ["the token file cannot be read", &file, problem, command];
            world.check(profile(config.clone()).says(&words)).await;
        }
    }
    // Its type is checked before, with the variable.
    let [.., (problem, create), _] = SPECIAL;
    let path = world.file("token", "");
    fs::remove_file(&path).unwrap();
    create(&path);
    let token = path.to_str().unwrap();
    let web = Row::new("web identity", "default", "credentials")
        .set("AWS_ENDPOINT_URL", world.server.url())
        .set("AWS_WEB_IDENTITY_TOKEN_FILE", token)
        .set("AWS_ROLE_ARN", ROLE);
    let words = ["the token file cannot be read", token, problem];
    world.check(web.says(&words).says(&["AWS_WEB_IDENTITY_TOKEN_FILE"])).await;
    let container = Row::new("container", "default", "credentials")
        .set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/creds")
        .set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token);
    world.check(container.says(&words).says(&["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])).await;
    let files = Row::new("profile file", "default", "invalid_argument")
        .set("AWS_EC2_METADATA_DISABLED", "true")
        .set("AWS_SHARED_CREDENTIALS_FILE", token);
    world.check(files.says(&[token, problem])).await;
}

/// Creates a special file.
#[cfg(target_os = "linux")]
type Create = fn(&Path);

/// Special files, and the part of the message that says why each is not read.
#[cfg(target_os = "linux")]
const SPECIAL: [(&str, Create); 6] = [
    ("it is a named pipe", |path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }),
    ("it is a device", |path| symlink("/dev/zero", path).unwrap()),
    ("it has more than 1048576 bytes", |path| {
        fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
    }),
    // Its size is reported as 0, and it has gigabytes.
    ("", |path| symlink("/proc/self/pagemap", path).unwrap()),
    ("uncategorized error", |path| symlink("/proc/self/mem", path).unwrap()),
    ("it is a socket", |path| drop(UnixListener::bind(path).unwrap())),
];

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn programs_that_fail_are_named() {
    let world = World::new().await;
    let row = |name, command: &str| {
        Row::new(name, "profile", "credentials")
            .config(format!("[profile work]\nregion = us-east-1\ncredential_process = {command}\n"))
            .says(&["profile \"work\""])
    };
    let missing = row("missing program", "/no/such/program");
    world
        .check(missing.says(&["credential_process is not a program that can be run", "exit status: 127"]))
        .await;
    let failed = row("failed program", "exit 3");
    world.check(failed.says(&["credential_process failed", "exit status: 3", "by hand"])).await;
    let unusable = "credential_process failed: its output is invalid: it is not a JSON object";
    world.check(row("unusable output", "echo s3cret").says(&[unusable, "by hand"])).await;
    let mut default = row("unusable output", "echo s3cret").set("AWS_PROFILE", "work");
    default.mode = "default";
    world.check(default.says(&[unusable])).await;
    let mut slow = row("slow program", "sleep 100").set("CHILD_DEADLINE", "1500");
    (slow.kind, slow.retryable) = ("timeout", true);
    world
        .check(slow.says(&["no credentials were obtained in time", "ran for more than 1s", "by hand"]))
        .await;
    // Longer than the time limit of a request.
    let mut slow = row("slow program", "sleep 100").set("CHILD_DEADLINE", "7500").set("AWS_PROFILE", "work");
    (slow.mode, slow.kind, slow.retryable) = ("default", "timeout", true);
    world
        .check(slow.says(&["no credentials were obtained in time", "ran for more than 5s", "by hand"]))
        .await;
}

/// Once the first credentials have expired, a source has as much time as it had to open.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn slow_refresh_names_its_source() {
    let world = World::new().await;
    let row = |name, pause: &str| {
        let program = format!(
            "if mkdir {name}; then end=$(date -u -d '+2 seconds' +%FT%TZ); else sleep {pause}; end=2999-01-01T00:00:00Z; fi; \
             echo '{{\"Version\":1,\"AccessKeyId\":\"AKIA\",\"SecretAccessKey\":\"key\",\"Expiration\":\"'$end'\"}}'"
        );
        let mut row = Row::new("slow refresh", "profile", "timeout")
            .config(format!(
                "[profile work]\nregion = us-east-1\nendpoint_url = {}\ncredential_process = {program}\n",
                world.server.url()
            ))
            .set("CHILD_DEADLINE", "9000");
        row.retryable = true;
        row
    };
    let words = [
        "set on aws-sm://us-east-1/ksm-config: ",
        "profile \"work\": no credentials were obtained in time",
        "credential_process ran for more than 6s",
        "run the command by hand",
    ];
    world.check(row("stuck", "100").says(&words)).await;
    // Longer than the time limit of an attempt.
    world.works(row("slow", "4.5")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_pairs_name_the_other_half() {
    let world = World::new().await;
    let row = |mode, given: &str, missing: &str, of: &str| {
        Row::new("half a pair", mode, "invalid_argument").says(&[
            &format!("invalid {given}{of}: {missing} is missing; the two belong together"),
            &format!("set {missing} too, or remove {given} if"),
        ])
    };
    let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    for (given, missing) in [(id, secret), (secret, id)] {
        // The instance has credentials, which must not take their place.
        world.check(row("default", given, missing, "").set(given, "s3cret").set(missing, "")).await;
    }
    let (token, role) = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN");
    world.check(row("default", token, role, "").set(token, "/run/token")).await;
    let (id, secret) = ("aws_access_key_id", "aws_secret_access_key");
    for (given, missing) in [(id, secret), (secret, id)] {
        let config = format!("[profile work]\nregion = us-east-1\n{given} = s3cret\n{missing} =\n");
        let row = |mode| row(mode, given, missing, " in profile \"work\"").config(&*config);
        world.check(row("profile")).await;
        world.check(row("default").set("AWS_PROFILE", "work")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_home_is_named() {
    let world = World::new().await;
    let row = |mode, kind| {
        Row::new("no home", mode, kind)
            .set("HOME", "")
            .set("AWS_REGION", "us-east-1")
            .set("AWS_EC2_METADATA_DISABLED", "true")
    };
    let remedy = "HOME is not set, so no file in ~/.aws was read: set HOME, or AWS_CONFIG_FILE and";
    let profile =
        ["the profile \"work\" cannot be looked up: HOME is not set; ", "set HOME, or AWS_CONFIG_FILE and"];
    let (files, name) = ("AWS_CONFIG_FILE", "AWS_PROFILE");
    world.check(row("profile", "invalid_argument").set(files, "").says(&profile)).await;
    world.check(row("default", "invalid_argument").set(files, "").set(name, "work").says(&profile)).await;
    world.check(row("default", "credentials").set(files, "").says(&[remedy])).await;
    world
        .check(row("default", "invalid_argument").set(files, "").set("AWS_REGION", "").says(&[remedy]))
        .await;
    let sign_in = "sso_account_id = 123456789012\nsso_role_name = reader\nsso_region = us-east-1\n\
                   sso_start_url = https://example.com/start\n";
    for (session, folder) in [(sign_in, "sso"), ("login_session = arn:aws:iam::1:user/me\n", "login")] {
        let words = format!(
            "invalid HOME: it is not set, and the session of the profile \"work\" is in ~/.aws/{folder}/cache"
        );
        let config = format!("[profile work]\nregion = us-east-1\n{session}");
        world.check(row("profile", "invalid_argument").config(config).says(&[&words, "set HOME to"])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_without_roles_are_told() {
    let world = World::new().await;
    let metadata = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    let row = |name, mode| Row::new(name, mode, "credentials").set("AWS_REGION", "us-east-1");
    world.server.metadata().set_role(None);
    for mode in ["ec2", "default"] {
        world.check(row("no role", mode).says(&["the instance has no IAM role", "attach"])).await;
        let closed = row("no metadata", mode).set(metadata, CLOSED);
        let closed = closed.set("KSM_AWS_SECRET", "aws-sm://us-east-1/ksm-config");
        world
            .check(closed.says(&[
                "the instance metadata service did not answer",
                CLOSED,
                metadata,
                "refused",
                "hop limit",
            ]))
            .await;
    }
    let region = Row::new("no region", "ec2", "invalid_argument").set(metadata, CLOSED);
    world.check(region.says(&["Failed to determine AWS region for EC2 instance.", "ksm-config"])).await;
}
