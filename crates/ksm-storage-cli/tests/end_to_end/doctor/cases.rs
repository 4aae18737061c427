//! Faults for `doctor` to find.

use std::time::Duration;

use ksm_storage_emulator::{
    Action, Fault, ResponseFault,
    keeper::{self, FakeKeeper},
};
use ksm_storage_testkit::canary::canary;
use serde_json::Value as Json;

use super::scene::{Scene, closed_port, proxy_with_login};
use crate::support::SECRET;

/// A fault and its expected diagnosis.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) inject: fn(&mut Scene, &FakeKeeper),
    pub(crate) exit: i32,
    /// The step that the report must start with, and words of the cause and the remedy.
    step: &'static str,
    cause: &'static str,
    remedy: &'static str,
}

impl Case {
    /// Returns true if the report shows the fault at its step, without an earlier failure.
    pub(crate) fn is_diagnosed(&self, report: &Json) -> bool {
        let verdict = if self.exit == 0 { "warning" } else { "failed" };
        let mut found = report["steps"].as_array().unwrap().iter();
        // No earlier step has failed.
        let first = found.find(|step| step["verdict"] == verdict);
        let has = |value: &Json, words: &str| value.as_str().is_some_and(|text| text.contains(words));
        first.is_some_and(|step| step["step"] == self.step && has(&step["detail"], self.cause))
            && report["start_here"]["step"] == self.step
            && has(&report["start_here"]["hint"], self.remedy)
    }
}

const SSO: &str = "[profile ops]\nsso_session = ops\nsso_account_id = 123456789012\nsso_role_name = app\n\
    [sso-session ops]\nsso_region = eu-central-1\nsso_start_url = https://example.awsapps.com/start\n";
pub(crate) const ROLE: &str = "[profile ops]\nrole_arn = arn:aws:iam::123456789012:role/app\nsource_profile = base\n\
    [profile base]\naws_access_key_id = AKIBASE\naws_secret_access_key = s3cret-base-key\n";
const EXPIRED: &str = r#"{"startUrl": "https://example.awsapps.com/start", "region": "eu-central-1",
    "accessToken": "s3cret-sso-token", "expiresAt": "2020-01-01T00:00:00Z"}"#;
const IP_LOCKED: &str =
    r#"{"error":"access_denied","message":"This client is locked to a different ip address"}"#;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "no region",
        inject: |scene, _| scene.set("KSM_STORAGE", "aws-sm:team/ksm"),
        exit: 2,
        step: "region",
        cause: "no AWS region is known",
        remedy: "set AWS_REGION",
    },
    Case {
        name: "malformed region",
        inject: |scene, _| {
            scene.set("KSM_STORAGE", "aws-sm:team/ksm");
            scene.set("AWS_REGION", "eu_central_1");
        },
        exit: 2,
        step: "settings",
        cause: "invalid AWS_REGION",
        remedy: "correct the environment variable AWS_REGION",
    },
    Case {
        name: "plain http",
        inject: |scene, _| scene.set("AWS_ENDPOINT_URL", "http://192.0.2.1"),
        exit: 2,
        step: "settings",
        cause: "plain http",
        remedy: "correct the environment variable AWS_ENDPOINT_URL",
    },
    Case {
        name: "missing profile",
        inject: |scene, _| scene.profile("[profile other]\nregion = eu-central-1\n"),
        exit: 2,
        step: "settings",
        cause: "the profile \"ops\" does not exist",
        remedy: "aws configure list-profiles",
    },
    Case {
        name: "refused connection",
        inject: |scene, _| scene.set("AWS_ENDPOINT_URL", format!("http://{}", closed_port())),
        exit: 7,
        step: "tcp",
        cause: "connection refused",
        remedy: "VPC endpoint",
    },
    Case {
        name: "proxy with a login",
        inject: |scene, _| {
            scene.trust_tls();
            scene.set("HTTPS_PROXY", proxy_with_login());
        },
        exit: 2,
        step: "proxy",
        cause: "the proxy requires a user and a password (407)",
        remedy: "HTTPS_PROXY",
    },
    Case {
        name: "proxy that is down",
        inject: |scene, _| {
            scene.trust_tls();
            scene.set("HTTPS_PROXY", format!("http://{}", closed_port()));
        },
        exit: 7,
        step: "tcp",
        cause: "(from HTTPS_PROXY)",
        remedy: "check that the proxy is up, correct HTTPS_PROXY",
    },
    Case {
        name: "issuer that is not trusted",
        inject: |scene, keeper| {
            let other = scene.file("other.pem", keeper.certificate());
            scene.set("AWS_CA_BUNDLE", other.to_str().unwrap());
            let url = scene.tls.url();
            scene.set("AWS_ENDPOINT_URL", url);
        },
        exit: 1,
        step: "tls",
        cause: "the issuer of its certificate is not trusted",
        remedy: "AWS_CA_BUNDLE",
    },
    Case {
        name: "no root certificates",
        inject: |scene, _| {
            scene.trust_tls();
            let empty = scene.file("empty.pem", "");
            scene.set("AWS_CA_BUNDLE", empty.to_str().unwrap());
        },
        exit: 2,
        step: "tls",
        cause: "there is no root certificate in it",
        remedy: "AWS_CA_BUNDLE",
    },
    Case {
        name: "wrong clock",
        inject: |scene, _| {
            scene.aws.emulator().advance(Duration::from_hours(1));
            let skewed = Fault::refuse("RequestTimeTooSkewed");
            scene.aws.emulator().fail(Action::GetSecretValue, [skewed]);
        },
        exit: 4,
        step: "clock",
        cause: "s behind the service",
        remedy: "date -u",
    },
    Case {
        name: "no credentials",
        inject: |scene, _| {
            scene.remove("AWS_ACCESS_KEY_ID");
            scene.remove("AWS_SECRET_ACCESS_KEY");
        },
        exit: 4,
        step: "credentials",
        cause: "instance",
        remedy: "default credential chain",
    },
    Case {
        name: "half a pair of keys",
        inject: |scene, _| scene.remove("AWS_SECRET_ACCESS_KEY"),
        exit: 2,
        step: "settings",
        cause: "invalid AWS_ACCESS_KEY_ID: AWS_SECRET_ACCESS_KEY is missing",
        remedy: "set AWS_SECRET_ACCESS_KEY too",
    },
    Case {
        name: "expired session of IAM Identity Center",
        inject: |scene, _| {
            scene.profile(SSO);
            scene.file(".aws/sso/cache/c62973cc56845b0e473e9e3c40b6e1f0a84662ef.json", EXPIRED);
        },
        exit: 4,
        step: "credentials",
        cause: "the IAM Identity Center session is missing or has expired",
        remedy: "aws sso login --profile ops",
    },
    Case {
        name: "role that may not be assumed",
        inject: |scene, _| {
            scene.profile(ROLE);
            scene.aws.emulator().deny(Action::AssumeRole, "AccessDenied");
        },
        exit: 4,
        step: "credentials",
        cause: "the role may not be assumed",
        remedy: "grant it sts:AssumeRole",
    },
    Case {
        name: "expired keys",
        inject: |scene, _| {
            let expired = Fault::refuse("ExpiredToken");
            scene.aws.emulator().fail(Action::GetCallerIdentity, [expired]);
        },
        exit: 4,
        step: "identity",
        cause: "ExpiredToken",
        remedy: "come from variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: renew them",
    },
    Case {
        name: "STS out of bounds",
        inject: |scene, _| scene.aws.emulator().deny(Action::GetCallerIdentity, "AccessDenied"),
        exit: 0,
        step: "identity",
        cause: "AccessDenied",
        remedy: "not required",
    },
    Case {
        name: "missing secret",
        inject: |scene, _| scene.aws.emulator().secret(SECRET).remove(),
        exit: 3,
        step: "secret",
        cause: "the secret does not exist in this region",
        remedy: "aws secretsmanager create-secret --name team/ksm",
    },
    Case {
        name: "another region",
        inject: |scene, _| {
            scene.aws.emulator().add_region("eu-west-1");
            scene.set("KSM_STORAGE", "aws-sm://eu-west-1/team/ksm");
        },
        exit: 3,
        step: "secret",
        cause: "does not exist in this region",
        remedy: "describe-secret --secret-id team/ksm --region eu-west-1",
    },
    Case {
        name: "deleted secret",
        inject: |scene, _| scene.aws.emulator().secret(SECRET).mark_for_deletion(),
        exit: 3,
        step: "secret",
        cause: "InvalidRequestException",
        remedy: "aws secretsmanager restore-secret",
    },
    Case {
        name: "role without permission",
        inject: |scene, _| scene.aws.emulator().deny(Action::GetSecretValue, "AccessDeniedException"),
        exit: 4,
        step: "read",
        cause: "AccessDeniedException",
        remedy: "grant secretsmanager:GetSecretValue on arn:",
    },
    Case {
        name: "KMS key",
        inject: |scene, _| scene.aws.emulator().deny(Action::GetSecretValue, "DecryptionFailure"),
        exit: 4,
        step: "kms",
        cause: "DecryptionFailure",
        remedy: "grant kms:Decrypt",
    },
    Case {
        name: "throttled",
        inject: |scene, _| {
            let throttled = std::iter::repeat_n(Fault::refuse("ThrottlingException"), 40);
            scene.aws.emulator().fail(Action::GetSecretValue, throttled);
        },
        exit: 7,
        step: "read",
        cause: "throttled",
        remedy: "call less often",
    },
    Case {
        name: "damaged reply",
        inject: |scene, _| {
            let damaged = std::iter::repeat_n(Fault::After(ResponseFault::Malformed), 40);
            scene.aws.emulator().fail(Action::GetSecretValue, damaged);
        },
        exit: 1,
        step: "read",
        cause: "unexpected reply: the service answered (HTTP 200)",
        remedy: "check that the endpoint is that of AWS Secrets Manager",
    },
    Case {
        name: "fallback without a replica",
        inject: |scene, _| {
            scene.aws.emulator().add_region("eu-west-1");
            scene.set("KSM_STORAGE", "aws-sm://eu-central-1/team/ksm?fallback=eu-west-1");
        },
        exit: 0,
        step: "fallback",
        cause: "aws-sm://eu-west-1/team/ksm: not found",
        remedy: "--region eu-west-1",
    },
    Case {
        name: "replica",
        inject: |scene, _| scene.aws.emulator().secret(SECRET).replicate_from("us-east-1"),
        exit: 0,
        step: "write",
        cause: "a replica of the one in us-east-1",
        remedy: "bind in us-east-1",
    },
    Case {
        name: "replica that is to be written",
        inject: |scene, _| {
            scene.aws.emulator().secret(SECRET).replicate_from("us-east-1");
            scene.args.push("--write-check".into());
        },
        exit: 8,
        step: "write",
        cause: "the secret is a replica of the one in us-east-1",
        remedy: "write in us-east-1",
    },
    Case {
        name: "role that only reads",
        inject: |scene, _| {
            scene.aws.emulator().deny(Action::PutSecretValue, "AccessDeniedException");
            scene.args.push("--write-check".into());
        },
        exit: 4,
        step: "write",
        cause: "AccessDeniedException",
        remedy: "grant secretsmanager:PutSecretValue on arn:",
    },
    Case {
        name: "bad JSON",
        inject: |scene, _| scene.store(&format!("{{\"{}\": ", canary("bad"))),
        exit: 6,
        step: "document",
        cause: "invalid configuration document",
        remedy: "`ksm-storage restore VERSION --storage aws-sm:",
    },
    Case {
        name: "foreign document",
        inject: |scene, _| scene.store(&format!(r#"{{"{}": "{}"}}"#, canary("name"), canary("value"))),
        exit: 9,
        step: "state",
        cause: "not a Keeper configuration",
        remedy: "choose another storage",
    },
    Case {
        name: "unbound",
        inject: |scene, _| scene.store("{}"),
        exit: 9,
        step: "state",
        cause: "the configuration is empty",
        remedy: "ksm-storage bind",
    },
    Case {
        name: "wrong key",
        inject: |scene, _| {
            let stored = scene.aws.emulator().secret(SECRET).value("AWSCURRENT").unwrap();
            let mut document: Json = serde_json::from_slice(stored.as_bytes()).unwrap();
            document["privateKey"] = canary("cut").into();
            scene.store(&document.to_string());
        },
        exit: 9,
        step: "state",
        cause: "privateKey is truncated or malformed",
        remedy: "restore an earlier version",
    },
    Case {
        name: "Keeper out of reach",
        inject: |scene, _| scene.set("KSM_HOSTNAME", format!("{}/http", closed_port())),
        exit: 7,
        step: "keeper",
        cause: " (from KSM_HOSTNAME): the connection was refused",
        remedy: "check the host name (from KSM_HOSTNAME) and the firewall",
    },
    Case {
        name: "proxy that is down",
        inject: |scene, _| {
            scene.set("ALL_PROXY", format!("http://user:s3cret@{}", closed_port()));
            scene.set("NO_PROXY", "keepersecurity.eu");
        },
        exit: 7,
        step: "keeper",
        cause: "(from ALL_PROXY): the connection was refused",
        remedy: "check that the proxy is up, or correct ALL_PROXY",
    },
    Case {
        name: "Keeper that fails",
        inject: |_, keeper| keeper.fail_next([keeper::Fault::Answer(503, "s3cret")]),
        exit: 1,
        step: "client",
        cause: "Keeper answered 503",
        remedy: "try again later",
    },
    Case {
        name: "malformed setting of Keeper",
        inject: |scene, _| scene.set("KSM_SKIP_VERIFY", "maybe"),
        exit: 2,
        step: "keeper",
        cause: "invalid setting KSM_SKIP_VERIFY",
        remedy: "correct or remove it",
    },
    Case {
        name: "client that was removed",
        inject: |_, keeper| keeper.fail_next([keeper::Fault::Deny]),
        exit: 4,
        step: "client",
        cause: "Keeper refuses this client",
        remedy: "--rebind",
    },
    Case {
        name: "client that is locked to another address",
        inject: |_, keeper| keeper.fail_next([keeper::Fault::Answer(403, IP_LOCKED)]),
        exit: 4,
        step: "ip lock",
        cause: "locked to the IP address that bound it",
        remedy: "without the IP lock",
    },
];
