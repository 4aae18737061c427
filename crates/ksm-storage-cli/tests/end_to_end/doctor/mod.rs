//! `doctor` with one injected fault at a time: each is found at its step, with its remedy.

mod cases;
mod protocol;
mod scene;

use ksm_storage_emulator::{
    Action, Fault, ResponseFault, Value,
    keeper::{AppKeyPolicy, FakeKeeper},
};
use ksm_storage_testkit::canary::{canary, is_shown, shows};
use serde_json::Value as Json;

use self::{
    cases::{CASES, ROLE},
    scene::Scene,
};
use crate::support::{SECRET, URL, not_checked, text, token};

type Arrange = fn(&mut Scene);

/// A document bound to this Keeper, with a canary among its keys.
async fn bound(keeper: &FakeKeeper) -> String {
    let scene = Scene::new(keeper, "{}").await;
    let output = scene.input(&["bind", "--host", &keeper.hostname()], &token(keeper)).await;
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
        let output = scene.input(&args, "").await;
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

/// In a network namespace without any interface, so that no query can leave this host.
#[tokio::test(flavor = "multi_thread")]
async fn missing_name_service_is_found() {
    let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let mut scene = Scene::new(&keeper, "{}").await;
    scene.remove("AWS_ENDPOINT_URL");
    let alone = ["--user", "--map-root-user", "--net"];
    let probe = scene.program("unshare", &[&alone[..], &["true"]].concat()).output().await;
    if !probe.is_ok_and(|probe| probe.status.success()) {
        return not_checked("DNS: no user namespace without a network");
    }
    let doctor = [&alone[..], &[env!("CARGO_BIN_EXE_ksm-storage"), "doctor", "--json"]].concat();
    let output = scene.program("unshare", &doctor).output().await.unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    let report: Json = serde_json::from_slice(&output.stdout).unwrap();
    let host = "secretsmanager.eu-central-1.amazonaws.com";
    let failed = report["steps"].as_array().unwrap().iter().find(|step| step["verdict"] == "failed").unwrap();
    assert_eq!(failed["step"], "dns", "{report}");
    let cause = format!("the host name {host} cannot be resolved (failed to lookup address information");
    assert!(failed["detail"].as_str().unwrap().contains(&cause), "{report}");
    let remedy = format!("check region, endpoint and DNS: getent hosts {host}");
    assert_eq!(report["start_here"], serde_json::json!({ "step": "dns", "hint": remedy }));
}

/// Asserts that no stored value, AWS key or Keeper secret is shown.
fn conceals(shown: &str, bound: &str, keeper: &FakeKeeper, name: &str) {
    assert!(!is_shown(shown) && !shown.contains("s3cret"), "{name}: {shown}");
    for value in bound.split('"').filter(|value| value.len() > 30) {
        assert!(!shows(shown, value.as_bytes()), "{name}: {shown}");
    }
    for secret in keeper.secrets() {
        assert!(!shows(shown, &secret), "{name}: {shown}");
    }
}

/// The remedy for a document that is not valid JSON.
#[tokio::test(flavor = "multi_thread")]
async fn version_before_bad_json_is_restored() {
    let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let mut scene = Scene::new(&keeper, r#"{"hostname": "keepersecurity.eu"}"#).await;
    scene.store("{");
    let secret = scene.aws.emulator().secret(SECRET);
    let first = secret.versions()[0].0.clone();
    scene.set("KSM_STORAGE", format!("{URL}?read_only=true"));
    let refused = scene.input(&["restore", &first, "--yes"], "").await;
    assert_eq!(refused.status.code(), Some(8), "{}", text(&refused));
    scene.set("KSM_STORAGE", URL);
    let output = scene.input(&["restore", &first, "--yes"], "").await;
    assert!(output.status.success() && text(&output).contains("identity: arn:"), "{}", text(&output));
    let restored = secret.value("AWSCURRENT").unwrap();
    assert!(std::str::from_utf8(restored.as_bytes()).unwrap().contains("keepersecurity.eu"));
    assert_eq!(scene.input(&["doctor"], "").await.status.code(), Some(9));
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

    let output = scene.input(&["doctor"], "").await;
    let shown = text(&output);
    assert!(output.status.success() && !shown.contains("failed"), "{shown}");
    assert!(shown.contains("arn:aws:iam::123456789012:user/emulated"), "{shown}");
    assert!(shown.contains("eu-central-1, from the secret ID") && shown.contains("ip lock"), "{shown}");
    assert!(shown.contains("not checked  write        because --write-check was not given"), "{shown}");
    assert_eq!(secret.versions(), version, "something was written");

    let output = scene.input(&["doctor", "--write-check", "-vvv"], "").await;
    let shown = text(&output);
    assert!(output.status.success() && !shown.contains("not checked"), "{shown}");
    assert!(shown.contains("region: eu-central-1, identity: arn:"), "{shown}");
    assert_eq!(secret.versions().len(), version.len() + 1);
    emulator.add_region("eu-west-1");
    secret.replicate_to("eu-west-1");
    scene.set("KSM_STORAGE", format!("{URL}?fallback=eu-west-1"));
    let fallback = text(&scene.input(&["doctor"], "").await);
    assert!(fallback.contains("fallback     aws-sm://eu-west-1/team/ksm can be read"), "{fallback}");
    let written = secret.value("AWSCURRENT").unwrap();
    assert_eq!(std::str::from_utf8(written.as_bytes()).unwrap().trim_end(), bound);
    conceals(&shown, &bound, &keeper, "healthy");
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_of_settings_are_named() {
    let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let sources: [(Arrange, [&str; 3]); 4] = [
        (
            |scene| scene.set("AWS_DEFAULT_REGION", "eu-west-1"),
            ["eu-west-1, from AWS_DEFAULT_REGION", "variables AWS_ACCESS_KEY_ID", ":user/emulated"],
        ),
        (
            |scene| {
                scene.profile("[profile ops]\nregion = eu-west-2\naws_access_key_id = AKIOPS\naws_secret_access_key = s3cret\n");
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
                scene.remove("AWS_SECRET_ACCESS_KEY");
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
        let shown = text(&scene.input(&["doctor"], "").await);
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
    let copy = ["copy", "file:new.json", URL];
    let first = scene.aws.emulator().secret(SECRET).versions()[0].0.clone();
    let restore = ["restore", &first, "--yes"];
    let commands: [&[&str]; 4] = [&["import", "new.json"], &["clear", "--yes"], &copy, &restore];
    for args in commands {
        let shown = text(&scene.input(args, "").await);
        assert!(shown.contains(place), "{args:?}: {shown}");
    }
    for args in [&["clear", "--yes"][..], &copy, &["import", "new.json"], &restore] {
        let shown = scene.input(&[args, &["--json"]].concat(), "").await;
        let report: Json = serde_json::from_slice(&shown.stdout).unwrap();
        let shown = [&report["region"], &report["identity"]].map(|text| text.as_str().unwrap_or_default());
        assert_eq!(shown, ["eu-central-1", "arn:aws:iam::123456789012:user/emulated"], "{args:?}: {report}");
    }
    // Neither a policy nor silence of STS stops a write.
    let emulator = scene.aws.emulator();
    emulator.deny(Action::GetCallerIdentity, "AccessDenied");
    let output = scene.input(&["clear", "--yes"], "").await;
    assert!(output.status.success() && text(&output).contains("identity: not known"), "{}", text(&output));
    let output = scene.input(&["clear", "--yes", "--json"], "").await;
    let report: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["region"] == "eu-central-1" && report["identity"].is_null(), "{report}");
    emulator.allow_all();
    emulator.secret(SECRET).overwrite(Value::Text(bound.as_str().into()));
    emulator.fail(Action::GetCallerIdentity, [Fault::Before(ResponseFault::Hang)]);
    let output = scene.input(&["clear", "--yes"], "").await;
    assert!(output.status.success() && text(&output).contains("cleared"), "{}", text(&output));
    emulator.reset_calls();
    let _ = scene.input(&["status"], "").await;
    assert_eq!(emulator.calls(Action::GetCallerIdentity), 0, "a read asks STS");
}
