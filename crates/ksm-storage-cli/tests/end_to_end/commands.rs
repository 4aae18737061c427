//! Commands on AWS, Keeper and private files.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use ksm_storage_emulator::{
    Action, Fault, Value,
    keeper::{AppKeyPolicy, FakeKeeper},
};
use ksm_storage_testkit::canary::{canary, is_shown, shows};

use crate::support::{Run, URL, World, not_checked, text, token};

/// A bound document in which every value is a canary, or the base64 of one.
fn bound() -> String {
    let filled = |name: &str, length| {
        let mut bytes = canary(name).into_bytes();
        bytes.resize(length, b'.');
        bytes
    };
    let mut key = b"\x30\x81\x80\x02\x01\x00".to_vec();
    key.extend(b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04");
    let rest = 0x80 + 3 - key.len();
    key.extend(filled("private", rest));
    format!(
        r#"{{"appKey": "{}", "clientId": "{}", "privateKey": "{}", "hostname": "{}", "{}": "{}"}}"#,
        STANDARD.encode(filled("app", 32)),
        STANDARD.encode(filled("client", 64)),
        STANDARD.encode(key),
        canary("host"),
        canary("unknown-name"),
        canary("unknown-value"),
    )
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

const PROGRAM: &str = r#"
    printf %s "$KSM_CONFIG" | base64 -d | grep -q '"appKey"' && echo decodes
    echo "token: ${KSM_TOKEN-none}; process: $$; arguments: $*"
    exit 42"#;

#[tokio::test]
async fn exec_becomes_the_program() {
    let run = Run::new().with("STORED", bound()).with("KSM_TOKEN", "US:token");
    let child = run
        .command(&["exec", "--storage", "env:STORED", "--", "sh", "-c", PROGRAM, "name", "--a b", "--"])
        .spawn()
        .unwrap();
    let process = child.id().unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(42), "{}", text(&output));
    let expected = format!("decodes\ntoken: none; process: {process}; arguments: --a b --\n");
    assert_eq!(text(&output), expected);
}

#[tokio::test]
async fn exec_sets_the_named_variable() {
    let run = Run::new().with("STORED", STANDARD.encode(bound())).with("KSM_CONFIG", "theirs");
    let program = r#"test "$KSM_CONFIG" = theirs && printf %s "$OTHER" | base64 -d | grep -q appKey"#;
    run.ends(&["exec", "--storage", "env:STORED", "--env", "OTHER", "--", "sh", "-c", program], 0).await;
    for name in ["", "A=B"] {
        run.ends(&["exec", "--storage", "env:STORED", "--env", name, "--", "true"], 2).await;
    }
}

#[tokio::test]
async fn exec_reports_programs_that_cannot_start() {
    let run = Run::new().with("STORED", bound());
    let missing = run.ends(&["exec", "--storage", "env:STORED", "--", "no-such-program"], 127).await;
    assert!(missing.starts_with("ksm-storage: cannot start no-such-program: "), "{missing}");
    assert!(!missing.contains("interpreter"), "{missing}");
    let script = run.file("script", "#!/no/such/interpreter\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let script = run.ends(&["exec", "--storage", "env:STORED", "--", "./script"], 127).await;
    assert!(script.contains("its interpreter is missing"), "{script}");
    fs::write(run.path("data"), "").unwrap();
    run.ends(&["exec", "--storage", "env:STORED", "--", "./data"], 126).await;
    let name = "N".repeat(131_000);
    let large = run.ends(&["exec", "--storage", "env:STORED", "--env", &name, "--", "true"], 1).await;
    assert!(large.contains("does not fit in a variable"), "{large}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bound_configuration_serves_a_program() {
    let World { aws, keeper, run } = World::new(r#"{"theirs": 1}"#).await;
    let host = keeper.hostname();

    let (first, second) = (token(&keeper), token(&keeper));

    let output = run.input(&["bind", "--host", &host, "-vvv"], &first).await;
    assert!(!output.status.success(), "a foreign document was taken over: {}", text(&output));
    aws.emulator().secret("team/ksm").overwrite(Value::Text("{}".into()));
    aws.emulator().reset_calls();
    let output = run.input(&["bind", "--host", &host, "-vvv"], &first).await;
    assert!(output.status.success(), "{}", text(&output));
    let shown = text(&output);
    for words in [
        "are written to aws-sm://eu-central-1/team/ksm",
        "--unlock-ip",
        "bound: aws-sm://eu-central-1/team/ksm",
    ] {
        assert!(shown.contains(words), "`{words}` is not in: {shown}");
    }
    assert_eq!(aws.emulator().calls(Action::PutSecretValue), 2);
    for secret in keeper.secrets() {
        assert!(!shows(&shown, &secret), "{shown}");
    }

    let status = run.ends(&["status"], 0).await;
    assert!(status.contains("state     bound") && status.contains("appKey"), "{status}");
    let doctor = run.ends(&["doctor"], 0).await;
    assert!(doctor.contains("aws-sm://eu-central-1/team/ksm, from KSM_STORAGE"), "{doctor}");
    let program = run.input(&["exec", "--", "sh", "-c", PROGRAM], "").await;
    assert_eq!(program.status.code(), Some(42), "{}", text(&program));
    assert!(text(&program).starts_with("decodes\n"), "{}", text(&program));

    // The same token, another token, and another token with `--rebind`.
    assert!(run.ends(&["bind", "--quiet"], 0).await.starts_with("already bound, so nothing was written"));
    let report = run.ends(&["bind", "--json", "--quiet"], 0).await;
    assert!(report.contains(r#""region":"eu-central-1","identity":"arn:aws:iam::"#), "{report}");
    fs::write(run.path("token"), &second).unwrap();
    let mismatch = run.ends(&["bind", "--json", "--token-file", "token"], 5).await;
    assert!(mismatch.contains(r#""kind":"token_mismatch""#), "{mismatch}");
    assert!(mismatch.contains("with this token: `ksm-storage bind --rebind`"), "{mismatch}");
    assert_eq!(aws.emulator().calls(Action::PutSecretValue), 2);
    run.ends(&["bind", "--rebind", "--token-file", "token"], 0).await;
    assert_eq!(aws.emulator().calls(Action::PutSecretValue), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_services_have_exit_codes() {
    let World { aws, keeper, run } = World::new("{}").await;
    let missing = run.ends(&["status", "--storage", "aws-sm://eu-central-1/none", "--json"], 3).await;
    assert!(missing.contains("create-secret --name none"), "{missing}");

    aws.emulator().deny(Action::GetSecretValue, "AccessDeniedException");
    run.ends(&["status"], 4).await;
    aws.emulator().allow_all();
    aws.emulator()
        .fail(Action::GetSecretValue, std::iter::repeat_n(Fault::refuse("ThrottlingException"), 20));
    run.ends(&["status"], 7).await;
    aws.emulator().clear_faults();

    let (used, unused, host) = (token(&keeper), token(&keeper), keeper.hostname());
    let bind = ["bind", "--host", &host];
    let first = run.input(&bind, &used).await;
    assert!(first.status.success(), "{}", text(&first));
    run.ends(&["clear", "--yes"], 0).await;
    let spent = run.input(&bind, &used).await;
    assert_eq!(spent.status.code(), Some(4), "{}", text(&spent));

    drop(keeper);
    run.ends(&["clear", "--yes"], 0).await;
    let unreachable = run.input(&bind, &unused).await;
    assert_eq!(unreachable.status.code(), Some(7), "{}", text(&unreachable));
}

#[tokio::test]
async fn configuration_is_moved_between_storages() {
    let run = Run::new().with("STORED", bound());
    fs::write(run.path("in.b64"), STANDARD.encode(bound())).unwrap();
    run.ends(&["import", "in.b64", "--storage", "file:a.json"], 3).await;
    let imported = run.ends(&["import", "in.b64", "--storage", "file:a.json", "--create"], 0).await;
    assert!(imported.contains("+ appKey") && imported.contains("unknown keys: 0 -> 1"), "{imported}");
    assert_eq!(mode(run.path("a.json")), 0o600);
    let again = run.ends(&["import", "in.b64", "--storage", "file:a.json"], 0).await;
    assert!(again.contains("nothing was written"), "{again}");

    // Replacing the client must be explicit, and unknown keys are preserved.
    fs::write(run.path("other.json"), r#"{"hostname": "keepersecurity.eu", "other": 1}"#).unwrap();
    let before = fs::read(run.path("a.json")).unwrap();
    for args in [
        ["import", "other.json", "--storage", "file:a.json"],
        ["copy", "--quiet", "file:b.json", "file:a.json"],
    ] {
        fs::copy(run.path("other.json"), run.path("b.json")).unwrap();
        fs::set_permissions(run.path("b.json"), fs::Permissions::from_mode(0o600)).unwrap();
        let refused = run.ends(&args, 8).await;
        assert!(refused.contains("--replace"), "{refused}");
    }
    run.ends(&["import", "other.json", "--storage", "file:a.json", "--replace", "--dry-run"], 0).await;
    assert!(before == fs::read(run.path("a.json")).unwrap());
    let replaced = run.ends(&["import", "other.json", "--storage", "file:a.json", "--replace"], 0).await;
    assert!(replaced.contains("- appKey") && replaced.contains("unknown keys: 1 -> 2"), "{replaced}");

    run.ends(&["copy", "env:STORED", "file:a.json"], 0).await;
    run.ends(&["copy", "file:a.json", "file:c.json", "--create"], 0).await;
    let exported = run.ends(&["export", "--reveal", "--storage", "file:c.json"], 0).await;
    assert_eq!(exported, run.ends(&["export", "--reveal", "--storage", "env:STORED"], 0).await);

    let export =
        ["export", "--reveal", "--format", "base64", "--storage", "file:c.json", "--output", "out.b64"];
    run.ends(&export, 0).await;
    assert_eq!(mode(run.path("out.b64")), 0o600);
    let decoded = STANDARD.decode(fs::read_to_string(run.path("out.b64")).unwrap().trim()).unwrap();
    assert_eq!(String::from_utf8(decoded).unwrap(), exported.trim_end());
    run.ends(&export, 8).await;

    run.ends(&["clear", "--storage", "file:c.json"], 2).await;
    run.ends(&["clear", "--storage", "file:c.json", "--yes"], 0).await;
    let status = run.ends(&["status", "--storage", "file:c.json"], 0).await;
    assert!(status.contains("empty"), "{status}");
}

#[tokio::test]
async fn canary_is_never_shown_without_reveal() {
    let run = Run::new()
        .with("STORED", bound())
        .with("BAD", format!("{{\"{}\": ", canary("bad")))
        .with("KSM_TOKEN", canary("token"));
    fs::write(run.path("stored.json"), bound()).unwrap();
    fs::write(run.path("cut.json"), &bound()[..100]).unwrap();
    let mut outputs = Vec::new();
    for flags in [vec![], vec!["-vvv"], vec!["-vvv", "--json"]] {
        for args in [
            &["status", "--storage", "env:STORED"][..],
            &["status", "--storage", "env:BAD"],
            &["doctor", "--storage", "env:STORED"],
            &["doctor", "--storage", "env:BAD"],
            &["status", "--storage", &bound()],
            &["import", "stored.json", "--storage", "file:a.json", "--create"],
            &["import", "cut.json", "--storage", "file:a.json"],
            &["import", "env:STORED", "--storage", "file:a.json", "--replace"],
            &["bind", "--storage", "file:a.json"],
            &["bind", "--storage", "memory:"],
            &["copy", "file:a.json", "file:b.json", "--create"],
            &["copy", "file:a.json", "env:STORED"],
            &["export", "--storage", "env:STORED"],
            &["export", "--reveal", "--output", "out.json", "--storage", "env:STORED"],
            &["exec", "--storage", "env:STORED", "--", "true"],
            &["exec", "--storage", "env:STORED", "--", "no-such-program"],
            &["clear", "--yes", "--storage", "file:b.json"],
        ] {
            let output = run.input(&[&flags[..], args].concat(), "").await;
            outputs.push((args[0].to_owned(), text(&output)));
        }
    }
    for (command, shown) in &outputs {
        assert!(!is_shown(shown), "{command}: {shown}");
        for value in bound().split('"').filter(|value| value.len() > 20) {
            assert!(!shows(shown, value.as_bytes()), "{command}: {shown}");
        }
    }
    assert!(outputs.iter().any(|(_, shown)| shown.contains("DEBUG")), "-vvv shows no event");
    // Control: the search finds a value where it is shown.
    let revealed = run.input(&["export", "--reveal", "--storage", "env:STORED"], "").await;
    assert!(is_shown(&text(&revealed)));
}

#[tokio::test]
async fn export_replaces_nothing() {
    let run = Run::new().with("STORED", bound());
    run.file("file", "theirs");
    std::os::unix::fs::symlink(run.path("nowhere"), run.path("link")).unwrap();
    for output in ["file", "link", "."] {
        let export = ["export", "--reveal", "--storage", "env:STORED", "--output", output];
        let refused = run.ends(&export, 8).await;
        assert!(refused.ends_with("exists already; name a new file: none is replaced\n"), "{refused}");
    }
    assert_eq!(fs::read_to_string(run.path("file")).unwrap(), "theirs");
    assert!(!run.path("nowhere").exists());
}

#[tokio::test]
async fn closed_pipe_ends_quietly() {
    let run = Run::new().with("STORED", bound());
    for args in [&["status"][..], &["doctor"], &["export", "--reveal"], &["completions", "bash"], &["--help"]]
    {
        let mut child = run.command(&[args, &["--storage", "env:STORED"]].concat()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(text(&output), "", "{args:?}");
    }
}

#[tokio::test]
async fn unfit_input_names_its_source() {
    let run = Run::new();
    let import = ["import", "-", "--storage", "memory:"];
    let empty = run.input(&import, "").await;
    assert_eq!(empty.status.code(), Some(6));
    assert!(
        text(&empty).starts_with("ksm-storage: standard input: invalid configuration"),
        "{}",
        text(&empty)
    );
    fs::write(run.path("latin-1"), b"US:\xe9").unwrap();
    for args in [&["import", "latin-1"][..], &["bind", "--token-file", "latin-1"]] {
        let code = if args[0] == "bind" { 2 } else { 6 };
        let refused = run.ends(&[args, &["--storage", "memory:"]].concat(), code).await;
        assert!(refused.contains("not UTF-8"), "{refused}");
    }
}

/// In a terminal of its own, which only Python can make without unsafe code here.
const TERMINAL: &str = r#"
import fcntl, os, pty, signal, subprocess, sys, termios, time
def echo(): return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
def start():
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
for keys, expected in ((b"\x03", -2), (b"US:to\x03", -2), (b"\x04", 2), (b"\n", 2), (b"US:short\n", 2)):
    keyboard, terminal = pty.openpty()
    program = subprocess.Popen(sys.argv[1:], stdin=terminal, stdout=terminal, stderr=terminal,
                               start_new_session=True, preexec_fn=start)
    while echo(): time.sleep(0.01)
    os.write(keyboard, keys)
    assert (program.wait(30), echo()) == (expected, True), (keys, program.returncode, echo())
    shown = os.read(keyboard, 9999)
    assert b"One-time token: " in shown and b"short" not in shown, shown
"#;

#[tokio::test]
async fn prompt_gives_the_echo_back() {
    let run = Run::new();
    let program = env!("CARGO_BIN_EXE_ksm-storage");
    match run.program("python3", &["-c", TERMINAL, program, "bind", "--storage", "memory:"]).output().await {
        Ok(output) => assert!(output.status.success(), "{}", text(&output)),
        Err(_) => not_checked("the prompt: there is no Python here"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_rebind_names_way_back() {
    let world = World::bound().await;
    let (run, bound) = (&world.run, world.stored());
    let former = world.secret().versions().last().unwrap().0.clone();
    let spent = FakeKeeper::start(AppKeyPolicy::Once).unwrap().issue_token();
    run.file("spent", &format!("IL5:{spent}:901:{}", world.keeper.server_public_key()));
    let host = world.keeper.hostname();
    let refused = run.ends(&["bind", "--rebind", "--host", &host, "--token-file", "spent"], 4).await;
    let back = format!("`ksm-storage restore {former} --storage {URL}`");
    assert!(refused.contains(&back) && refused.contains("then `ksm-storage bind --rebind`"), "{refused}");

    // Every next command says what a spent token needs.
    run.file("other", &token(&world.keeper));
    let bind = ["bind", "--host", &host, "--token-file", "other"];
    for (args, code) in [(&["status"][..], 0), (&["doctor"], 9), (&["exec", "--", "true"], 9), (&bind, 5)] {
        let shown = run.ends(args, code).await;
        assert!(shown.contains("`ksm-storage bind --rebind`"), "{args:?}: {shown}");
    }
    run.ends(&["restore", &former, "--yes"], 0).await;
    assert_eq!(world.stored(), bound);
    run.ends(&["status"], 0).await;
}
