//! Servers that pose as Keeper and answer too much, too slowly, or with something else.

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ksm_storage_emulator::{
    TlsFront,
    keeper::{AppKeyPolicy, FakeKeeper, Fault},
};
use ksm_storage_keeper::{Error, ErrorKind};
use ksm_storage_memory::MemoryBackend;

use crate::support::{TITLES, World, configured, titles};

/// Generous for a busy machine, and much shorter than the default time limit of a request.
const PATIENCE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum memory of a process that reads an endless reply.
const MAX_MEMORY: usize = 64 << 20;

type Script = fn(&mut TcpStream) -> std::io::Result<()>;

/// Serves plain HTTP from a script, and counts the requests.
fn serve(script: Script) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, counted) = (stream.unwrap(), Arc::clone(&counted));
            thread::spawn(move || {
                let mut request = [0; 16384];
                if stream.read(&mut request).is_ok_and(|len| len > 0) {
                    counted.fetch_add(1, Ordering::Relaxed);
                    // An error means that the connection has ended.
                    let _ = script(&mut stream);
                }
            });
        }
    });
    (url, requests)
}

async fn bind(address: &str, timeout: Duration) -> Error {
    let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let storage = ksm_storage_core::ConfigStorage::open(MemoryBackend::from_config("{}")).await.unwrap();
    let host = format!("{}/http", address.trim_start_matches("https://"));
    let builder = configured(&keeper).hostname(host).request_timeout(timeout).token(keeper.issue_token());
    builder.open(storage).await.unwrap_err()
}

fn endless(stream: &mut TcpStream, start: &str, piece: &[u8]) -> std::io::Result<()> {
    stream.write_all(start.as_bytes())?;
    let piece = piece.repeat(65536_usize.div_ceil(piece.len()));
    loop {
        stream.write_all(&piece)?;
    }
}

fn drip(stream: &mut TcpStream, start: &str, piece: &[u8]) -> std::io::Result<()> {
    stream.write_all(start.as_bytes())?;
    loop {
        stream.write_all(piece)?;
        thread::sleep(Duration::from_millis(50));
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_limit_holds_against_slow_replies() {
    let scripts: [(&str, Script); 6] = [
        ("silence", |_| {
            thread::sleep(Duration::from_mins(1));
            Ok(())
        }),
        ("dripping status", |stream| drip(stream, "HTTP/1.1 200 ", b"a")),
        ("dripping headers", |stream| drip(stream, OK, b"X-A: b\r\n")),
        ("dripping body", |stream| drip(stream, "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"a")),
        ("dripping 103", |stream| drip(stream, "", b"HTTP/1.1 103 Early Hints\r\n\r\n")),
        ("103 flood", |stream| endless(stream, "", b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n")),
    ];
    for (name, script) in scripts {
        let front = TlsFront::start(&serve(script).0).await.unwrap();
        let start = Instant::now();
        let error = bind(&front.url(), TIMEOUT).await;
        let elapsed = start.elapsed();
        println!("{name}: {elapsed:?}: {error}");
        assert!(elapsed < PATIENCE, "{name}: {elapsed:?}");
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{name}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_servers_replies_are_errors() {
    let scripts: [(&str, Script, ErrorKind, &str); 9] = [
        ("endless headers", |stream| endless(stream, OK, b"X-A: b\r\n"), ErrorKind::Unreachable, "broke"),
        (
            "one endless header",
            |stream| endless(stream, "HTTP/1.1 200 OK\r\nX-A: ", b"b"),
            ErrorKind::Unreachable,
            "",
        ),
        (
            "endless rejection",
            |stream| endless(stream, "HTTP/1.1 403 No\r\n\r\n", b"b"),
            ErrorKind::Unreachable,
            "64 KiB",
        ),
        (
            "huge length",
            |stream| drip(stream, "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n", b"a"),
            ErrorKind::Unreachable,
            "",
        ),
        (
            "negative length",
            |stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
            ErrorKind::Unreachable,
            "",
        ),
        (
            "cut",
            |stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na"),
            ErrorKind::Unreachable,
            "broke",
        ),
        ("not HTTP", |stream| stream.write_all(b"SSH-2.0-x\r\n"), ErrorKind::Unreachable, "broke"),
        (
            "not encrypted",
            |stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
            ErrorKind::Unreachable,
            "is not Keeper's",
        ),
        (
            "empty",
            |stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ErrorKind::Unreachable,
            "is not Keeper's",
        ),
    ];
    for (name, script, kind, words) in scripts {
        let front = TlsFront::start(&serve(script).0).await.unwrap();
        let start = Instant::now();
        let error = bind(&front.url(), TIMEOUT * 3).await;
        println!("{name}: {:?}: {error}", start.elapsed());
        let text = error.to_string();
        assert!(error.kind() == kind && text.contains(words) && !text.contains('\n'), "{name}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_not_followed() {
    static TARGET: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let (target, hits) = serve(|stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    TARGET.set(target).unwrap();
    let redirect: Script = |stream| {
        let target = TARGET.get().unwrap();
        write!(stream, "HTTP/1.1 307 Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n")
    };
    let front = TlsFront::start(&serve(redirect).0).await.unwrap();
    let error = bind(&front.url(), PATIENCE).await;
    assert!(error.kind() == ErrorKind::Sdk && error.to_string().contains("a redirect"), "{error}");
    assert_eq!(hits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn plain_http_and_unknown_issuers_fail() {
    let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let storage =
        async || ksm_storage_core::ConfigStorage::open(MemoryBackend::from_config("{}")).await.unwrap();
    let verifying = ksm_storage_keeper::KeeperClient::builder().hostname(keeper.hostname());
    let error = verifying.token(keeper.issue_token()).open(storage().await).await.unwrap_err();
    assert!(error.to_string().contains("issuer is unknown"), "{error}");
    let (plain, _) = serve(|stream| stream.write_all(b"HTTP/1.1 400 Bad\r\n\r\n"));
    let error = bind(&plain.replace("http://", "https://"), PATIENCE).await;
    assert!(error.kind() == ErrorKind::Unreachable && error.to_string().contains("TLS failed"), "{error}");
    let (proxy, _) = serve(|stream| stream.write_all(b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n"));
    let proxied =
        configured(&keeper).hostname("127.0.0.1:9/http").proxy_url(proxy).token(keeper.issue_token());
    let error = proxied.open(storage().await).await.unwrap_err();
    assert!(error.to_string().contains("the proxy asks for a login"), "{error}");
}

#[tokio::test]
async fn absurd_pauses_are_not_made() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let token = world.keeper.issue_token();
    let throttled = [
        r#"{"error": "throttled", "retry_after": 1e300}"#,
        r#"{"error": "throttled", "retry_after": "inf"}"#,
        r#"{"error": "throttled", "retry_after": 86400}"#,
        r#"{"result_code": "throttled", "retry_after": "1e9"}"#,
        // The SDK prefers one of two codes, unescapes names, and takes the last of duplicates.
        r#"{"error": "access_denied", "result_code": "throttled", "retry_after": 86400}"#,
        r#"{"error": "access_denied", "error": "throttled", "retry_after": 86400}"#,
        r#"{"a": {"error": "access_denied"}, "err\u006fr": "throttled", "retry_after": 1, "retry_after": 86400}"#,
    ];
    for body in throttled {
        world.keeper.fail_next([Fault::Answer(403, body)]);
        assert_eq!(world.open(&token).await.unwrap_err().kind(), ErrorKind::Throttled, "{body}");
    }
    let client = world.open(&token).await.unwrap();
    for body in throttled {
        world.keeper.fail_next([Fault::Answer(403, body)]);
        let start = Instant::now();
        assert_eq!(client.get_secrets(&[]).await.unwrap_err().kind(), ErrorKind::Throttled, "{body}");
        assert!(start.elapsed() < PATIENCE);
    }
    assert_eq!(titles(&client).await, TITLES);
}

#[tokio::test]
async fn rejections_of_any_form_are_errors() {
    let world = World::new(AppKeyPolicy::Once, "{}");
    let client = world.open(&world.keeper.issue_token()).await.unwrap();
    for (status, body, words) in [
        (403, "", "403 without a code"),
        (403, "<html>s3cret</html>", "another server"),
        (401, r#"{"error": "key"}"#, "401 key"),
        (401, r#"{"error": "key", "key_id": -1}"#, "401 key"),
        (400, r#"{"error": "invalid_client_version"}"#, "version of its SDK"),
        (400, r#"{"error": ["s3cret"]}"#, "400 without a code"),
        (400, r#"["s3cret"]"#, "400 without a code"),
        (
            500,
            r#"{"error": "internal_error", "message": "s3cret\nx"}"#,
            "500 internal_error; Keeper, or a proxy",
        ),
        (502, "Bad Gateway", "try again later"),
        (204, "", "204 without a code"),
    ] {
        world.keeper.fail_next([Fault::Answer(status, body)]);
        let error = client.get_secrets(&[]).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(error.kind() == ErrorKind::Sdk && text.contains(words), "{text}");
        assert!(!text.contains("s3cret") && !text.contains('\n'), "{text}");
    }
    assert_eq!(titles(&client).await, TITLES);
}

fn run_child(name: &str, variables: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let child = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", name, "--nocapture"])
        .envs(variables)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{text}{}", String::from_utf8_lossy(&child.stderr));
    text
}

#[test]
fn surroundings_that_cannot_work_are_named() {
    for (name, value) in [
        ("SSL_CERT_FILE", "/no/such.pem"),
        ("HTTPS_PROXY", "not a proxy"),
        ("KSM_SKIP_VERIFY", ""),
        ("KSM_HOSTNAME", "a b"),
    ] {
        // With a folder, the SDK's own client can be created, and only ours cannot.
        for folder in ["/no/such", "/etc/ssl/certs"] {
            let variables = [(name, value), ("NAME", name), ("SSL_CERT_DIR", folder)];
            run_child(
                "hostile::child_with_variables",
                variables.map(|(name, value)| (name, value.to_owned())),
            );
        }
    }
}

#[tokio::test]
#[ignore = "run as a child process by the other tests"]
async fn child_with_variables() {
    let keeper = FakeKeeper::start(AppKeyPolicy::Once).unwrap();
    let storage = ksm_storage_core::ConfigStorage::open(MemoryBackend::from_config("{}")).await.unwrap();
    let verifying = ksm_storage_keeper::KeeperClient::builder().hostname(keeper.hostname());
    let error = verifying.token(keeper.issue_token()).open(storage.clone()).await.unwrap_err();
    let untouched = MemoryBackend::from_config("{}");
    let untouched = ksm_storage_core::ConfigStorage::open(untouched).await.unwrap();
    assert_eq!(storage.refresh().await.unwrap().document(), untouched.snapshot().document());
    println!("{error}");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    let setting = format!("invalid setting {}: ", env::var("NAME").unwrap());
    assert!(error.to_string().contains(&setting), "{error}");
}

#[test]
fn certificates_need_a_known_root() {
    let [keeper, other] = [(); 2].map(|()| FakeKeeper::start(AppKeyPolicy::Once).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    for (certificate, words) in
        [(other.certificate(), "the certificate's issuer is unknown"), (keeper.certificate(), TITLES[0])]
    {
        fs::write(&roots, certificate).unwrap();
        let variables = [
            ("SSL_CERT_FILE", roots.display().to_string()),
            ("HOST", keeper.hostname()),
            ("SERVER_KEY", keeper.server_public_key()),
            ("TOKEN", keeper.issue_token()),
        ];
        let text = run_child("hostile::child_that_verifies", variables);
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
#[ignore = "run as a child process by the other tests"]
async fn child_that_verifies() {
    let given = |name| env::var(name).unwrap();
    let storage = ksm_storage_core::ConfigStorage::open(MemoryBackend::from_config("{}")).await.unwrap();
    let builder = ksm_storage_keeper::KeeperClient::builder().hostname(given("HOST")).token(given("TOKEN"));
    let builder = builder.server_public_key(given("SERVER_KEY")).server_public_key_id("901");
    match builder.open(storage).await {
        Ok(client) => println!("{:?}", titles(&client).await),
        Err(error) => println!("{error}"),
    }
}

/// Runs in a separate process, because memory is measured per process.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_reply_stays_within_memory() {
    let front =
        TlsFront::start(&serve(|stream| endless(stream, "HTTP/1.1 200 OK\r\n\r\n", b"a")).0).await.unwrap();
    let variables = [("ADDRESS", front.url())];
    let text = tokio::task::spawn_blocking(|| run_child("hostile::child", variables)).await.unwrap();
    let peak: usize = text.lines().find_map(|line| line.strip_prefix("peak ")).unwrap().parse().unwrap();
    println!("peak: {} MiB", peak >> 20);
    assert!(peak < MAX_MEMORY, "{} MiB", peak >> 20);
}

#[tokio::test]
#[ignore = "run as a child process by the other tests"]
async fn child() {
    let error = bind(&env::var("ADDRESS").unwrap(), Duration::from_mins(1)).await;
    assert!(error.to_string().contains("exceeds the limit of 32 MiB"), "{error}");
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("\npeak {}", kib << 10);
}
