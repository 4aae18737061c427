//! The program in an otherwise empty file system, as in a distroless image.

use std::{fs, path::Path};

use tokio::process::Command;

use crate::support::{Run, World, not_checked, text};

/// Creates a root folder with the program and its shared libraries.
async fn image(run: &Run) -> Result<(), String> {
    let program = env!("CARGO_BIN_EXE_ksm-storage");
    let linked = Command::new("ldd").arg(program).output().await.map_err(|error| format!("ldd: {error}"))?;
    let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
    let libraries = linked.split_whitespace().filter(|word| word.starts_with('/'));
    for (from, to) in libraries.map(|path| (path, path)).chain([(program, "/ksm-storage")]) {
        let to = run.path("root").join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap_or(Path::new("/"))).map_err(|error| error.to_string())?;
        fs::copy(from, &to).map_err(|error| format!("{from}: {error}"))?;
    }
    Ok(())
}

/// Runs `ENTRYPOINT ["/ksm-storage", "exec", "--"]` as a user in a separate namespace.
fn container(run: &Run, command: &[&str]) -> Command {
    let entry = ["--user", "--map-root-user", "chroot", "root", "/ksm-storage", "exec", "--"];
    let mut container = run.program("unshare", &[&entry[..], command].concat());
    container.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    container
}

#[tokio::test(flavor = "multi_thread")]
async fn entry_point_needs_nothing_but_itself() {
    let world = World::bound().await;
    if let Err(why) = image(&world.run).await {
        return not_checked(&why);
    }
    let probe = ["--user", "--map-root-user", "chroot", "root", "/ksm-storage", "--version"];
    let probe =
        world.run.program("unshare", &probe).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().await;
    if !probe.is_ok_and(|probe| probe.status.success()) {
        return not_checked("no user namespace for a chroot");
    }
    // There is no other program, so it runs itself, with the variable set by the entry point.
    let status = ["/ksm-storage", "status", "--storage", "env:KSM_CONFIG"];
    let output = container(&world.run, &status).output().await.unwrap();
    assert!(output.status.success() && text(&output).contains("state     bound"), "{}", text(&output));
    // There is no shell, and there are no certificates.
    let missing = container(&world.run, &["/bin/sh"]).output().await.unwrap();
    assert_eq!(missing.status.code(), Some(127), "{}", text(&missing));
    let https =
        container(&world.run, &status).env("AWS_ENDPOINT_URL", "https://127.0.0.1:1").output().await.unwrap();
    assert!(!https.status.success() && text(&https).contains("certificate"), "{}", text(&https));
}
