//! The assumptions about AWS, checked on the emulator.

use std::time::Duration;

use ksm_storage_emulator::{
    Action,
    keeper::{AppKeyPolicy, FakeKeeper},
};
use serde_json::Value as Json;

use super::scene::Scene;
use crate::support::{SECRET, text};

const DOCTOR: [&str; 5] = ["doctor", "--protocol", "--scratch-secret", "scratch/ksm", "--json"];

/// The assumptions with this verdict.
fn with<'a>(report: &'a Json, verdict: &str) -> Vec<&'a str> {
    let all = report["assumptions"].as_array().unwrap().iter();
    all.filter(|found| found["verdict"] == verdict).filter_map(|found| found["assumption"].as_str()).collect()
}

async fn run(scene: &Scene, exit: i32) -> Json {
    let output = scene.input(&DOCTOR, "").await;
    assert_eq!(output.status.code(), Some(exit), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn assumptions_hold_on_the_emulator() {
    let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let scene = Scene::new(&keeper, "{}").await;
    let emulator = scene.aws.emulator();
    let untouched = emulator.secret(SECRET).versions();

    let report = run(&scene, 0).await;
    assert_eq!(with(&report, "not_checked"), ["a version has the same ID in a replica"], "{report}");
    assert!(with(&report, "holds").len() >= 25, "{report}");
    assert!(report["remove"].as_str().unwrap().contains("delete-secret --secret-id scratch/ksm"), "{report}");

    // Checks that need a secret without a value are skipped the next time, and a secret with replicas is not deleted.
    emulator.add_region("eu-west-1");
    emulator.set_replication_lag(Duration::from_millis(300));
    emulator.secret("scratch/ksm").replicate_to("eu-west-1");
    let again = run(&scene, 0).await;
    assert_eq!(with(&again, "not_checked").len(), 4, "{again}");
    assert!(with(&again, "holds").contains(&"a version has the same ID in a replica"), "{again}");
    assert_eq!(emulator.secret(SECRET).versions(), untouched);

    emulator.deny(Action::UpdateSecretVersionStage, "AccessDeniedException");
    let denied = run(&scene, 1).await;
    assert!(!with(&denied, "differs").is_empty(), "{denied}");
    emulator.allow_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn protocol_spares_secrets_of_others() {
    let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let mut scene = Scene::new(&keeper, "{}").await;
    let emulator = scene.aws.emulator().clone();
    let before = emulator.secret(SECRET).versions();
    let output = scene.input(&["doctor", "--protocol", "--scratch-secret", SECRET], "").await;
    assert_eq!(output.status.code(), Some(8), "{}", text(&output));
    assert!(text(&output).contains("was not created for this purpose"), "{}", text(&output));
    assert_eq!(emulator.secret(SECRET).versions(), before);

    emulator.deny(Action::CreateSecret, "AccessDeniedException");
    let output = scene.input(&DOCTOR, "").await;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    scene.set("KSM_STORAGE", "file:ksm.json");
    let output = scene.input(&DOCTOR, "").await;
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    for args in [&["doctor", "--protocol"][..], &["doctor", "--scratch-secret", "x"]] {
        let output = scene.input(args, "").await;
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    }
}
