//! `doctor` on faults that are injected one by one: each is found at its step, with its remedy.
#![cfg(unix)]
#![allow(
    missing_docs,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test has no documentation and may panic"
)]

mod protocol;
mod scene;

use std::time::Duration;

use ksm_storage_emulator::{
    Action, Fault, ResponseFault, Value,
    keeper::{self, AppKeyPolicy, FakeKeeper},
};
use ksm_storage_testkit::canary::{canary, is_shown, shows};
use serde_json::Value as Json;

use self::scene::{SECRET, Scene, closed_port, proxy_with_login, text};

/// A fault, and how it must be diagnosed.
struct Case {
    name: &'static str,
    inject: fn(&mut Scene, &FakeKeeper),
    exit: i32,
    /// The step that the report begins with, words of its cause, and of its remedy.
    step: &'static str,
    cause: &'static str,
    remedy: &'static str,
}

const SSO: &str = "[profile ops]\nsso_session = ops\nsso_account_id = 123456789012\nsso_role_name = app\n\
    [sso-session ops]\nsso_region = eu-central-1\nsso_start_url = https://example.awsapps.com/start\n";
const ROLE: &str = "[profile ops]\nrole_arn = arn:aws:iam::123456789012:role/app\nsource_profile = base\n\
    [profile base]\naws_access_key_id = AKIBASE\naws_secret_access_key = s3cret-base-key\n";
const EXPIRED: &str = r#"{"startUrl": "https://example.awsapps.com/start", "region": "eu-central-1",
    "accessToken": "s3cret-sso-token", "expiresAt": "2020-01-01T00:00:00Z"}"#;
const IP_LOCKED: &str =
    r#"{"error":"access_denied","message":"This client is locked to a different ip address"}"#;

const CASES: &[Case] = &[
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
            scene.set("AWS_ENDPOINT_URL", scene.tls.url());
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
        inject: |scene, _| scene.remove("AWS_ACCESS_KEY_ID"),
        exit: 4,
        step: "credentials",
        cause: "instance",
        remedy: "default credential chain",
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
        remedy: "obtain new credentials",
    },
    Case {
        name: "STS out of bounds",
        inject: |scene, _| scene.aws.emulator().deny(Action::GetCallerIdentity, "AccessDenied"),
        exit: 0,
        step: "identity",
        cause: "AccessDenied",
        remedy: "nothing else needs it",
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
        cause: "unexpected answer: the service answered (HTTP 200)",
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
        remedy: "ksm-storage history",
    },
    Case {
        name: "foreign document",
        inject: |scene, _| scene.store(&format!(r#"{{"{}": "{}"}}"#, canary("name"), canary("value"))),
        exit: 9,
        step: "state",
        cause: "no configuration of a Keeper client",
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
        cause: "no answer from Keeper at 127.0.0.1",
        remedy: "check network, proxy",
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

/// A client that this Keeper accepts, with a canary among its keys.
async fn bound(keeper: &FakeKeeper) -> String {
    let scene = Scene::new(keeper, "{}").await;
    let token = format!("IL5:{}:901:{}\n", keeper.issue_token(), keeper.server_public_key());
    let output = scene.run(&["bind", "--host", &keeper.hostname()], &token).await;
    assert!(output.status.success(), "{}", text(&output));
    let stored = scene.aws.emulator().secret(SECRET).value("AWSCURRENT").unwrap();
    let mut document: Json = serde_json::from_slice(stored.as_bytes()).unwrap();
    document[canary("unknown")] = canary("value").into();
    document.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_found_at_their_step() {
    let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let bound = bound(&keeper).await;
    assert!(CASES.len() >= 15);
    let mut missed = Vec::new();
    for case in CASES {
        let mut scene = Scene::new(&keeper, &bound).await;
        (case.inject)(&mut scene, &keeper);
        let args: Vec<_> = scene.args.iter().map(String::as_str).chain(["--json", "-vvv"]).collect();
        let output = scene.run(&args, "").await;
        let shown = text(&output);
        let report: Json = serde_json::from_slice(&output.stdout).unwrap();
        if !case.is_diagnosed(&report) || output.status.code() != Some(case.exit) {
            missed.push(format!("{}: {shown}", case.name));
        }
        conceals(&shown, &bound, &keeper, case.name);
        keeper.clear_faults();
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

impl Case {
    fn is_diagnosed(&self, report: &Json) -> bool {
        let verdict = if self.exit == 0 { "warning" } else { "failed" };
        let mut found = report["steps"].as_array().unwrap().iter();
        // No step before it has failed.
        let first = found.find(|step| step["verdict"] == verdict);
        let has = |value: &Json, words: &str| value.as_str().is_some_and(|text| text.contains(words));
        first.is_some_and(|step| step["step"] == self.step && has(&step["detail"], self.cause))
            && report["start_here"]["step"] == self.step
            && has(&report["start_here"]["hint"], self.remedy)
    }
}

/// No value of the document, no key of AWS and nothing of Keeper's is shown.
fn conceals(shown: &str, bound: &str, keeper: &FakeKeeper, name: &str) {
    assert!(!is_shown(shown) && !shown.contains("s3cret"), "{name}: {shown}");
    for value in bound.split('"').filter(|value| value.len() > 30) {
        assert!(!shows(shown, value.as_bytes()), "{name}: {shown}");
    }
    for secret in keeper.secrets() {
        assert!(!shows(shown, &secret), "{name}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_start_passes_every_step() {
    let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let bound = bound(&keeper).await;
    let mut scene = Scene::new(&keeper, &bound).await;
    scene.trust_tls();
    let emulator = scene.aws.emulator().clone();
    let secret = emulator.secret(SECRET);
    let version = secret.versions();

    let output = scene.run(&["doctor"], "").await;
    let shown = text(&output);
    assert!(output.status.success() && !shown.contains("failed"), "{shown}");
    assert!(shown.contains("arn:aws:iam::123456789012:user/emulated"), "{shown}");
    assert!(shown.contains("eu-central-1, from the secret ID") && shown.contains("ip lock"), "{shown}");
    assert!(shown.contains("not checked  write        because --write-check was not given"), "{shown}");
    assert_eq!(secret.versions(), version, "something was written");

    let output = scene.run(&["doctor", "--write-check", "-vvv"], "").await;
    let shown = text(&output);
    assert!(output.status.success() && !shown.contains("not checked"), "{shown}");
    assert!(shown.contains("region: eu-central-1, identity: arn:"), "{shown}");
    assert_eq!(secret.versions().len(), version.len() + 1);
    emulator.add_region("eu-west-1");
    secret.replicate_to("eu-west-1");
    scene.set("KSM_STORAGE", format!("{}?fallback=eu-west-1", scene::URL));
    let fallback = text(&scene.run(&["doctor"], "").await);
    assert!(fallback.contains("fallback     aws-sm://eu-west-1/team/ksm can be read"), "{fallback}");
    let written = secret.value("AWSCURRENT").unwrap();
    assert_eq!(std::str::from_utf8(written.as_bytes()).unwrap().trim_end(), bound);
    conceals(&shown, &bound, &keeper, "healthy");
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_of_settings_are_named() {
    let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let sources: [(fn(&mut Scene), [&str; 3]); 4] = [
        (
            |scene| scene.set("AWS_DEFAULT_REGION", "eu-west-1"),
            ["eu-west-1, from AWS_DEFAULT_REGION", "variables AWS_ACCESS_KEY_ID", ":user/emulated"],
        ),
        (
            |scene| {
                scene.profile("[profile ops]\nregion = eu-west-2\naws_access_key_id = AKIOPS\naws_secret_access_key = s3cret\n")
            },
            ["eu-west-2, from profile \"ops\"", "profile \"ops\"", ":user/emulated"],
        ),
        (
            |scene| {
                scene.profile(ROLE);
                scene.set("AWS_REGION", "eu-west-3");
            },
            [
                "eu-west-3, from AWS_REGION",
                "profile \"ops\", role arn:aws:iam::123456789012:role/app",
                ":assumed-role/app/",
            ],
        ),
        (
            |scene| {
                let url = scene.aws.url();
                scene.remove("AWS_ACCESS_KEY_ID");
                scene.remove("AWS_EC2_METADATA_DISABLED");
                scene.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", url);
            },
            ["eu-central-1, from instance metadata", "instance role", ":user/emulated"],
        ),
    ];
    for (arrange, expected) in sources {
        let mut scene = Scene::new(&keeper, "{}").await;
        scene.set("KSM_AWS_SECRET", SECRET);
        scene.remove("KSM_STORAGE");
        arrange(&mut scene);
        let shown = text(&scene.run(&["doctor"], "").await);
        assert!(shown.contains("from KSM_AWS_SECRET"), "{shown}");
        for words in expected {
            assert!(shown.contains(words), "`{words}` is not in: {shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_name_region_and_identity() {
    let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let bound = bound(&keeper).await;
    let scene = Scene::new(&keeper, "{}").await;
    scene.file("new.json", &bound);
    let place = "region: eu-central-1, identity: arn:aws:iam::123456789012:user/emulated";
    let copy = ["copy", "file:new.json", scene::URL];
    let commands: [&[&str]; 3] = [&["import", "new.json"], &["clear", "--yes"], &copy];
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(scene.file("new.json", &bound), private).unwrap();
    for args in commands {
        let shown = text(&scene.run(args, "").await);
        assert!(shown.contains(place), "{args:?}: {shown}");
    }
    // Neither a policy nor silence of STS stops a write.
    let emulator = scene.aws.emulator();
    emulator.deny(Action::GetCallerIdentity, "AccessDenied");
    let output = scene.run(&["clear", "--yes"], "").await;
    assert!(output.status.success() && text(&output).contains("identity: not known"), "{}", text(&output));
    emulator.allow_all();
    emulator.secret(SECRET).overwrite(Value::Text(bound.as_str().into()));
    emulator.fail(Action::GetCallerIdentity, [Fault::Before(ResponseFault::Hang)]);
    let output = scene.run(&["clear", "--yes"], "").await;
    assert!(output.status.success() && text(&output).contains("cleared"), "{}", text(&output));
    emulator.reset_calls();
    let _ = scene.run(&["status"], "").await;
    assert_eq!(emulator.calls(Action::GetCallerIdentity), 0, "a read asks STS");
}
