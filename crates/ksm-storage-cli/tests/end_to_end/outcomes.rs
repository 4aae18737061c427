//! Errors after a write, and those that do not know whether it took effect.

use std::{iter::repeat_n, time::Duration};

use ksm_storage_emulator::{Action, Fault, ResponseFault};

use crate::support::{Run, URL, World, text, token};

/// A URL with a parameter, which a location does not show.
const WITH_MODE: &str = "aws-sm://eu-central-1/team/ksm?mode=default";
const NEW: &str = r#"{"hostname": "keepersecurity.eu"}"#;

/// Denies all reads after this many.
fn deny_reads(world: &World, after: usize) {
    let read = repeat_n(Fault::Delay(Duration::ZERO), after);
    let denied = repeat_n(Fault::refuse("AccessDeniedException"), 100);
    world.aws.emulator().fail(Action::GetSecretValue, read.chain(denied));
}

/// Loses the replies to all writes after this many.
fn lose_writes(world: &World, after: usize) {
    let written = repeat_n(Fault::Delay(Duration::ZERO), after);
    let lost = repeat_n(Fault::After(ResponseFault::Reset), 100);
    world.aws.emulator().fail(Action::PutSecretValue, written.chain(lost));
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_copy_is_applied() {
    let copy = ["copy", "file:new.json", WITH_MODE, "--json"];
    let healthy = World::new("{}").await;
    healthy.run.file("new.json", NEW);
    healthy.run.ends(&copy, 0).await;
    let reads = healthy.aws.emulator().calls(Action::GetSecretValue);

    let world = World::new("{}").await;
    world.run.file("new.json", NEW);
    deny_reads(&world, reads - 1);
    let failed = world.run.ends(&copy, 4).await;
    assert!(failed.contains(r#""kind":"access_denied","outcome":"applied""#), "{failed}");
    assert!(failed.contains("the copy is stored, but could not be read back: refresh on "), "{failed}");
    assert!(failed.contains(&format!("`ksm-storage status --storage '{WITH_MODE}'`")), "{failed}");
    assert!(world.stored().contains("keepersecurity.eu"), "{}", world.stored());
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_writes_name_the_storage() {
    let import = ["import", "new.json", "--storage", WITH_MODE, "--json"];
    let copy = ["copy", "file:new.json", WITH_MODE, "--json"];
    for args in [&import[..], &copy] {
        let world = World::new("{}").await;
        world.run.file("new.json", NEW);
        // One to open, one before the write.
        deny_reads(&world, 2);
        lose_writes(&world, 0);
        let failed = text(&world.run.input(args, "").await);
        assert!(failed.contains(r#""outcome":"unknown""#), "{args:?}: {failed}");
        let look =
            format!("see first whether it took effect: `ksm-storage history --storage '{WITH_MODE}'`; ");
        assert!(failed.contains(&look), "{args:?}: {failed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_bind_is_looked_at() {
    let healthy = World::bound().await;
    let reads = healthy.aws.emulator().calls(Action::GetSecretValue);

    let world = World::new("{}").await;
    // The last one is to check the second write.
    deny_reads(&world, reads - 1);
    lose_writes(&world, 1);
    let bind = ["bind", "--json", "--host", &world.keeper.hostname()];
    let failed = text(&world.run.input(&bind, &token(&world.keeper)).await);
    assert!(failed.contains(r#""kind":"not_saved","outcome":"unknown""#), "{failed}");
    let look =
        format!("see first whether it took effect: `ksm-storage history --storage {URL}`; then run the same");
    assert!(failed.contains(&look) && !failed.contains("is lost"), "{failed}");
}

/// A full disk behind standard output.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn unshown_results_are_applied() {
    let run = Run::new();
    run.file("new.json", NEW);
    let program = env!("CARGO_BIN_EXE_ksm-storage");
    for (flag, outcome) in [("--create", "applied"), ("--dry-run", "not_applied")] {
        let script = r#"exec "$0" "$@" > /dev/full"#;
        let args = [
            "-c",
            script,
            program,
            "import",
            "new.json",
            "--json",
            "--replace",
            "--storage",
            "file:a.json",
            flag,
        ];
        let failed = text(&run.program("sh", &args).output().await.unwrap());
        assert!(failed.contains(&format!(r#""outcome":"{outcome}""#)), "{flag}: {failed}");
    }
}
