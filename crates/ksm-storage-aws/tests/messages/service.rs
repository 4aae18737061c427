//! Error responses of Secrets Manager.

use ksm_storage_emulator::{Action, Fault};

use crate::{
    Row, World,
    servers::{canned, http},
};

const ENDPOINT: &str = "AWS_ENDPOINT_URL_SECRETS_MANAGER";

/// A response of the service with this code, message and date.
fn answer(code: &str, message: &str, date: &str) -> String {
    let body = format!(r#"{{"__type":"{code}","message":"{message}"}}"#);
    let headers = format!("content-type: application/x-amz-json-1.1\r\ndate: {date}\r\n");
    format!("http://{}", canned(http(400, &headers, &body)))
}

#[tokio::test(flavor = "multi_thread")]
async fn denials_name_principal_action_and_arn() {
    let world = World::new().await;
    let user = "arn:aws:sts::123456789012:assumed-role/app/i-0abc";
    let row = |message: &str| {
        Row::new("access denied", "default", "access_denied")
            .keys()
            .set(ENDPOINT, answer("AccessDeniedException", message, "x"))
            .says(&["AccessDeniedException", "grant secretsmanager:GetSecretValue on arn:"])
    };
    let denied = format!(
        "User: {user} is not authorized to perform: secretsmanager:GetSecretValue on resource: ksm-config because no \
         identity-based policy allows the secretsmanager:GetSecretValue action"
    );
    let arn = "on arn:aws:secretsmanager:us-east-1:123456789012:secret:ksm-config-??????";
    let words =
        [arn, user, "is not authorized to perform secretsmanager:GetSecretValue", "no identity-based policy"];
    world.check(row(&denied).says(&words)).await;
    world.check(row("s3cret\\n[ERROR] forged").says(&["access denied"])).await;
    let deny = Fault::refuse("AccessDeniedException");
    world.server.emulator().fail(Action::PutSecretValue, [deny]);
    let url = world.server.url();
    let known = world.server.emulator().secret("ksm-config").arn().unwrap();
    let put = Row::new("access denied to write", "default", "access_denied").keys().set(ENDPOINT, url);
    world.check(put.says(&["grant secretsmanager:PutSecretValue on ", &known])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_skew_is_reported() {
    let world = World::new().await;
    let row = |code: &str, message: &str, date: &str| {
        Row::new("clock skew", "default", "credentials")
            .keys()
            .set(ENDPOINT, answer(code, message, date))
            .says(&[code])
    };
    let old = "Thu, 01 Jan 2015 00:00:00 GMT";
    let skewed = ["the clock of this host is wrong", "s ahead of the service", "date -u"];
    world.check(row("InvalidSignatureException", "", old).says(&skewed)).await;
    world
        .check(
            row("SignatureDoesNotMatch", "", "Sat, 01 Jan 2095 00:00:00 GMT").says(&["s behind the service"]),
        )
        .await;
    world.check(row("RequestTimeTooSkewed", "", "no date").says(&[skewed[0], skewed[2]])).await;
    let failure = row("InvalidSignatureException", "Signature expired: 20150101T000000Z is now earlier", "x");
    world.check(failure.says(&[skewed[0]])).await;
    let wrong_key = row("InvalidSignatureException", "s3cret", "x");
    world.check(wrong_key.says(&["check access key, secret and session token"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_credentials_name_their_source() {
    let world = World::new().await;
    for code in ["ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException"] {
        let row = |mode| {
            Row::new("rejected credentials", mode, "credentials")
                .set(ENDPOINT, answer(code, "s3cret", "x"))
                .says(&[code])
        };
        let variables = "the credentials come from variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: ";
        world.check(row("default").keys().says(&[variables])).await;
        let program = r#"echo '{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"s3cret"}'"#;
        let profile = format!("[profile work]\nregion = us-east-1\ncredential_process = {program}\n");
        let words = "the credentials come from profile \"work\", credential_process: ";
        world.check(row("profile").config(&*profile).says(&[words])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_services_name_the_remedy() {
    let world = World::new().await;
    for status in [500, 502, 503] {
        let url = format!("http://{}", canned(http(status, "", "s3cret")));
        let row = Row::new("failing service", "default", "unavailable").keys().set(ENDPOINT, url);
        world.check(row.says(&[&format!("HTTP {status}"), "try again; if it persists", "health"])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_secrets_are_looked_for_first() {
    let world = World::new().await;
    let url = world.server.url();
    let keys = "aws_access_key_id = AKIA\naws_secret_access_key = s3cret\n";
    let row = |mode| {
        let config = format!("[profile work]\nregion = us-east-1\n{keys}[profile My Mac's]\n{keys}");
        Row::new("missing secret", mode, "not_found").config(config).set(ENDPOINT, &*url)
    };
    let describe = "aws secretsmanager describe-secret --secret-id other --region us-east-1";
    let create = "aws secretsmanager create-secret --name other --secret-string '{}' --region us-east-1";
    let default = row("default").keys().set("KSM_AWS_SECRET", "other");
    world.check(default.says(&[&format!("{describe};"), create])).await;
    let profile = row("profile").set("KSM_AWS_SECRET", "other");
    world
        .check(profile.says(&[&format!("{describe} --profile work;"), &format!("{create} --profile work")]))
        .await;
    let named = "[profile \"My Mac\"]\nregion: us-east-1\n";
    let named = row("default").config(format!("{named}{keys}")).set("AWS_PROFILE", "My Mac");
    world.check(named.set("KSM_AWS_SECRET", "other").says(&["--profile 'My Mac'"])).await;
    world.server.emulator().secret("ksm-config").mark_for_deletion();
    let deleted = row("default").keys();
    world.check(deleted.says(&["marked for deletion", "restore-secret", "describe-secret"])).await;
}
