//! `history` and `restore`, with a foreign writer.

use ksm_storage_emulator::{Action, Value};
use ksm_storage_testkit::canary::{canary, is_shown};

use crate::support::{URL, World, text};

/// The version in the first row that contains `words`.
fn version(history: &str, words: &str) -> String {
    let row =
        history.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {history}"));
    row.split_whitespace().nth(1).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn displaced_configuration_is_found_and_restored() {
    let world = World::bound().await;
    let bound = world.stored();
    world.secret().overwrite(Value::Text(r#"{"theirs": 1}"#.into()));

    let run = &world.run;
    let history = run.ends(&["history"], 0).await;
    assert!(history.starts_with(&format!("location  {URL}\n")), "{history}");
    let rows: Vec<_> = history.lines().skip(1).collect();
    assert_eq!(rows.len(), 4, "{history}");
    let foreign = &world.secret().versions()[3].0;
    assert!(rows[0].contains(&format!("Z  {foreign}  AWSCURRENT   foreign: another program")), "{history}");
    assert!(rows[1].contains("AWSPREVIOUS  this project, from "), "{history}");
    assert!(rows[3].contains("foreign"), "the first value is not this project's: {history}");
    let earlier = version(&history, "AWSPREVIOUS");

    // Without a terminal, it requires --yes and writes nothing.
    let refused = run.ends(&["restore", &earlier], 2).await;
    assert!(refused.contains("restore asks for confirmation") && refused.contains("--yes"), "{refused}");
    assert!(
        refused.contains("  + privateKey") && refused.contains(&format!("{earlier} (bound)")),
        "{refused}"
    );
    assert_eq!(world.secret().versions().len(), 4);

    let restored = run.ends(&["restore", &earlier, "--yes"], 0).await;
    assert!(restored.starts_with(&format!("restored: {URL}, version ")), "{restored}");
    assert!(restored.contains(" (bound)\n"), "it does not say whether the version is bound: {restored}");
    assert!(restored.contains("identity: arn:aws:"), "it does not say as whom it writes: {restored}");
    assert!(restored.contains("  + privateKey") && restored.contains("unknown keys: 1 -> 0"), "{restored}");
    assert_eq!(world.stored(), bound);
    let again = run.ends(&["restore", &earlier, "--yes", "--json"], 0).await;
    assert!(again.contains(r#""written":false"#), "{again}");
    assert!(run.ends(&["status"], 0).await.contains("state     bound"));
    for secret in world.keeper.secrets() {
        assert!(!ksm_storage_testkit::canary::shows(&(restored.clone() + &again), &secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_machine_readable() {
    let world = World::bound().await;
    let shown = world.run.ends(&["history", "--json"], 0).await;
    let history: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let versions = history["versions"].as_array().unwrap();
    assert_eq!(history["location"], URL);
    assert_eq!(versions.len(), 3);
    for (version, writer, labels) in [(0, "project", vec!["AWSCURRENT"]), (2, "foreign", vec![])] {
        assert_eq!(versions[version]["writer"], writer, "{shown}");
        assert_eq!(versions[version]["labels"], serde_json::json!(labels), "{shown}");
    }
    assert_eq!(versions[0]["base"], versions[1]["version"], "{shown}");
    assert!(versions[0]["created"].as_str().unwrap().ends_with('Z'), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_has_every_page() {
    let world = World::new("{}").await;
    for number in 0..230 {
        world.secret().overwrite(Value::Text(format!(r#"{{"n": {number}}}"#).into()));
    }
    let history = world.run.ends(&["history"], 0).await;
    assert_eq!(history.lines().count(), 1 + 231, "{history}");
    assert_eq!(world.aws.emulator().calls(Action::ListSecretVersionIds), 3);
    assert_eq!(world.aws.emulator().calls(Action::GetSecretValue), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unfit_versions_are_not_restored() {
    let world = World::new("{}").await;
    let secret = world.secret();
    let text_of_canary = canary("version");
    let mut unfit = vec![];
    for value in ["[1]", "", "\"text\"", &text_of_canary] {
        unfit.push(secret.overwrite(Value::Text(value.into())));
    }
    unfit.push(secret.overwrite(Value::Binary(vec![0xff, 0xfe].into())));
    secret.overwrite(Value::Text(r#"{"hostname": "keepersecurity.eu"}"#.into()));
    let count = secret.versions().len();
    for version in unfit {
        let refused = world.run.ends(&["restore", &version, "--yes", "-vvv"], 6).await;
        assert!(refused.contains(&version) && !is_shown(&refused), "{refused}");
    }
    for (version, code) in [("00000000-0000-0000-0000-999999999999", 3), ("AWSPREVIOUS", 2), ("", 2)] {
        let url = format!("{URL}?mode=default");
        let refused = world.run.ends(&["restore", version, "--yes", "--storage", &url], code).await;
        assert!(refused.contains(&format!("`ksm-storage history --storage '{url}'`")), "{refused}");
        // Region and identity are announced once there is something to write.
        assert!(!refused.contains("identity:"), "{refused}");
    }
    world.run.ends(&["restore", "x", "--yes", "--storage", &format!("{URL}?read_only=true")], 8).await;
    assert_eq!(secret.versions().len(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_gives_way_to_other_writers() {
    let world = World::new(r#"{"hostname": "a"}"#).await;
    let (secret, run) = (world.secret(), &world.run);
    let first = secret.versions()[0].0.clone();
    secret.overwrite(Value::Text(r#"{"hostname": "b"}"#.into()));
    // Another handle writes a version while this one waits for the answer to its read by ID.
    let emulator = world.aws.emulator();
    emulator.fail(
        Action::GetSecretValue,
        [ksm_storage_emulator::Fault::Delay(std::time::Duration::ZERO)]
            .into_iter()
            .chain([ksm_storage_emulator::Fault::Delay(std::time::Duration::from_secs(2))]),
    );
    let restoring = run.command(&["restore", &first, "--yes"]).spawn().unwrap();
    while emulator.calls(Action::GetSecretValue) < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    secret.overwrite(Value::Text(r#"{"hostname": "c"}"#.into()));
    let output = restoring.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", text(&output));
    assert_eq!(world.stored(), r#"{"hostname": "c"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_names_missing_permissions() {
    let world = World::new("{}").await;
    world.aws.emulator().deny(Action::ListSecretVersionIds, "AccessDeniedException");
    let denied = world.run.ends(&["history", "--json"], 4).await;
    assert!(denied.contains("grant secretsmanager:ListSecretVersionIds"), "{denied}");
}
