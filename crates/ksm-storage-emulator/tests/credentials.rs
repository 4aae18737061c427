//! STS and the SSO portal, called with the AWS SDK over HTTP.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sdk_sts::error::ProvideErrorMetadata;
use ksm_storage_emulator::{Action, Emulator, Fault, ResponseFault, Server, fixture::sdk_config};

const ROLE: &str = "arn:aws:iam::123456789012:role/team/reader";
const ASSUMED: &str = "arn:aws:sts::123456789012:assumed-role/reader/session";

async fn serve() -> (Server, aws_config::SdkConfig) {
    let server = Server::start(Emulator::new("us-east-1")).await.unwrap();
    let config = sdk_config(&server.url());
    (server, config)
}

/// The ARN that `GetCallerIdentity` returns for these credentials.
async fn identity(config: &aws_config::SdkConfig, [id, key, token]: [&str; 3]) -> String {
    let credentials = Credentials::new(id, key, Some(token.to_owned()), None, "test");
    let config = aws_sdk_sts::config::Builder::from(config).credentials_provider(credentials).build();
    let identity = aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some("123456789012"));
    identity.arn().unwrap().to_owned()
}

#[tokio::test]
async fn caller_identity_is_a_user() {
    let (server, config) = serve().await;
    let sts = aws_sdk_sts::Client::new(&config);
    let caller = sts.get_caller_identity().send().await.unwrap();
    assert_eq!(caller.arn(), Some("arn:aws:iam::123456789012:user/emulated"));
    assert_eq!(server.emulator().calls(Action::GetCallerIdentity), 1);

    server.emulator().deny(Action::GetCallerIdentity, "AccessDenied");
    let error = sts.get_caller_identity().send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 403);
    assert_eq!(error.code(), Some("AccessDenied"));
    assert_eq!(error.message(), Some("not allowed: sts:GetCallerIdentity"));
}

#[tokio::test]
async fn assumed_role_is_the_caller() {
    let (server, config) = serve().await;
    let sts = aws_sdk_sts::Client::new(&config);
    let assume = |role: &str| sts.assume_role().role_arn(role).role_session_name("session").send();
    let reply = assume(ROLE).await.unwrap();
    let issued = reply.credentials().unwrap();
    assert_eq!(reply.assumed_role_user().unwrap().arn(), ASSUMED);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!(u64::try_from(issued.expiration().secs()).unwrap() > now + 3600);
    let keys = [issued.access_key_id(), issued.secret_access_key(), issued.session_token()];
    assert_eq!(identity(&config, keys).await, ASSUMED);
    assert_eq!(server.emulator().calls(Action::AssumeRole), 1);

    let wrong = assume("arn:aws:iam::123456789012:user/reader").await.unwrap_err();
    assert_eq!(wrong.code(), Some("ValidationError"));
}

#[tokio::test]
async fn web_identity_needs_the_token() {
    let (server, config) = serve().await;
    server.emulator().expect_web_identity_token("the.token");
    let sts = aws_sdk_sts::Client::new(&config);
    let call = |token: &str| {
        let call = sts.assume_role_with_web_identity().role_arn(ROLE).role_session_name("session");
        call.web_identity_token(token).send()
    };
    assert_eq!(call("another").await.unwrap_err().code(), Some("InvalidIdentityToken"));
    let reply = call("the.token").await.unwrap();
    let issued = reply.credentials().unwrap();
    let keys = [issued.access_key_id(), issued.secret_access_key(), issued.session_token()];
    assert_eq!(identity(&config, keys).await, ASSUMED);
    assert_eq!(server.emulator().calls(Action::AssumeRoleWithWebIdentity), 2);
}

#[tokio::test]
async fn portal_issues_role_credentials() {
    let (server, config) = serve().await;
    server.emulator().expect_sso_token("signed-in");
    let portal = aws_sdk_sso::Client::new(&config);
    let call = |token: &str| {
        let call = portal.get_role_credentials().account_id("123456789012").role_name("Reader");
        call.access_token(token).send()
    };
    let error = call("expired").await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_unauthorized_exception(), "{error:?}");
    let reply = call("signed-in").await.unwrap();
    let issued = reply.role_credentials().unwrap();
    let keys = [&issued.access_key_id, &issued.secret_access_key, &issued.session_token];
    let keys = keys.map(|field| field.as_deref().unwrap());
    let arn = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Reader/emulated";
    assert_eq!(identity(&config, keys).await, arn);
    assert_eq!(server.emulator().calls(Action::GetRoleCredentials), 2);
}

#[tokio::test]
async fn faults_reach_every_service() {
    let (server, config) = serve().await;
    let sts = aws_sdk_sts::Client::new(&config);
    let faults = [Fault::After(ResponseFault::Reset), Fault::refuse("ExpiredTokenException")];
    server.emulator().fail(Action::GetCallerIdentity, faults);
    // The SDK retries after a connection reset.
    let error = sts.get_caller_identity().send().await.unwrap_err();
    assert_eq!(error.code(), Some("ExpiredTokenException"));
    assert_eq!(server.emulator().calls(Action::GetCallerIdentity), 2);

    server.emulator().fail(Action::GetRoleCredentials, [Fault::refuse("TooManyRequestsException")]);
    let portal = aws_sdk_sso::Client::new(&config);
    let call = portal.get_role_credentials().account_id("1").role_name("r").access_token("t");
    call.send().await.unwrap();
    assert_eq!(server.emulator().calls(Action::GetRoleCredentials), 2);
}
