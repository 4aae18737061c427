//! Misbehaving servers: no call outlasts its deadline, and memory use stays bounded.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use futures_util::{StreamExt, stream};
#[cfg(target_os = "linux")]
use ksm_storage_emulator::TlsFront;

use crate::World;

/// A misbehaviour, which lasts until the client hangs up.
type Answer = fn(&mut TcpStream) -> io::Result<()>;

const ANSWERS: [(&str, Answer); 17] = [
    ("endless body", |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n")?;
        forever(stream, &[b'a'; 64 << 10])
    }),
    ("endless chunks", |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        forever(stream, &[b"10000\r\n", &*vec![b'a'; 0x10000], b"\r\n"].concat())
    }),
    ("endless error", |stream| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n{\"__type\":\"")?;
        forever(stream, &[b'a'; 64 << 10])
    }),
    ("drip", |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")?;
        drip(stream, b"a")
    }),
    ("dripping head", |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ")?;
        drip(stream, b"a")
    }),
    ("flood of 103", |stream| {
        forever(stream, &b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n".repeat(1000))
    }),
    ("flood of 100", |stream| forever(stream, &b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000))),
    ("drip of 103", |stream| drip(stream, b"HTTP/1.1 103 Early Hints\r\n\r\n")),
    ("no answer", |_| silence()),
    ("half headers", |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le")?;
        silence()
    }),
    ("garbage", |stream| stream.write_all(&[0xff; 4096])),
    ("huge headers", |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
        forever(stream, &b"x-a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(1000))
    }),
    ("long content-length", |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n{")?;
        silence()
    }),
    ("wrong content-length", |stream| stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}")),
    ("two content-lengths", |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}")
    }),
    ("deep nesting", |stream| {
        let body = b"{\"a\":".repeat(100_000);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len())?;
        stream.write_all(&body)
    }),
    ("reset", |_| Ok(())),
];

fn silence() -> io::Result<()> {
    loop {
        thread::park();
    }
}

fn forever(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(bytes)?;
    }
}

fn drip(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(bytes)?;
        thread::sleep(Duration::from_millis(50));
    }
}

/// Answers every request this way, except reads if `answers_reads` is set. Returns the endpoint.
fn serve(answer: Answer, answers_reads: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                // The client hangs up eventually.
                let _ = converse(stream, answer, answers_reads);
            });
        }
    });
    url
}

fn converse(mut stream: TcpStream, answer: Answer, answers_reads: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut length, mut is_read) = (0, false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim().to_ascii_lowercase();
            match line.split_once(": ") {
                _ if line.is_empty() => break,
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("x-amz-target", value)) => is_read = value.ends_with("getsecretvalue"),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if !(is_read && answers_reads) {
            return answer(&mut stream);
        }
        let body = r#"{"ARN":"arn:aws:secretsmanager:us-east-1:123456789012:secret:ksm-config-aBcDeF","Name":"ksm-config",
            "VersionId":"00000000-0000-0000-0000-000000000000","SecretString":"{}","VersionStages":["AWSCURRENT"]}"#;
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
    }
}

const DEADLINE: Duration = Duration::from_secs(2);
/// Tolerance for a loaded machine. Without a limit, a flood of interim replies lasts 16 s or more.
const TOLERANCE: Duration = Duration::from_secs(5);
/// The extra memory that a hostile server may cost, in bytes. An optimized program peaks below 16 MiB; in a debug
/// build, most memory is code.
const GROWTH: u64 = 6 << 20;

/// Calls each service on a hostile server of its own, and returns the problems.
async fn check(world: &World, name: &str, answer: Answer, usual: u64) -> Vec<String> {
    let keys = || vec![("AWS_ACCESS_KEY_ID", "AKIA".to_owned()), ("AWS_SECRET_ACCESS_KEY", "key".to_owned())];
    let web = vec![
        ("AWS_WEB_IDENTITY_TOKEN_FILE", world.path("token")),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader".to_owned()),
    ];
    let server = serve(answer, false);
    let container = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{server}/credentials"));
    let mut problems = Vec::new();
    for (service, mode, mut variables, setting, url) in [
        ("get", "default", keys(), "AWS_ENDPOINT_URL", server.clone()),
        ("put", "default", keys(), "AWS_ENDPOINT_URL", serve(answer, true)),
        ("metadata", "ec2", Vec::new(), "AWS_EC2_METADATA_SERVICE_ENDPOINT", server.clone()),
        ("sts", "default", web, "AWS_ENDPOINT_URL_STS", server.clone()),
        ("container", "default", vec![container], "AWS_ENDPOINT_URL", world.server.url()),
    ] {
        variables.push((setting, url));
        variables.push(("CHILD_DEADLINE", DEADLINE.as_millis().to_string()));
        let found = world.run(mode, variables, None).await.remove(0);
        let fine = !found.is_ok()
            && found.longest < DEADLINE + TOLERANCE
            && found.peak < usual + GROWTH
            && (service == "put" || found.fate == "not_applied")
            && !found.text.contains(char::is_control);
        if !fine {
            problems.push(format!("{name}, {service}: {found:?}"));
        }
    }
    problems
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_outlasts_a_deadline() {
    let world = World::new().await;
    let usual = world.run("ec2", [("AWS_ENDPOINT_URL", world.server.url())], None).await.remove(0);
    assert!(usual.is_ok(), "{usual:?}");
    let checks = stream::iter(ANSWERS).map(|(name, answer)| check(&world, name, answer, usual.peak));
    let problems = checks.buffer_unordered(2).collect::<Vec<_>>().await.concat();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// Over TLS, replies pass further buffers.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn endless_replies_stay_within_memory() {
    let world = World::new().await;
    let open = async |server: &str| {
        let front = TlsFront::start(server).await.unwrap();
        let roots = world.file(&format!("{}.pem", front.url().replace('/', "-")), front.certificate());
        let variables = [
            ("AWS_ACCESS_KEY_ID", "AKIA".into()),
            ("AWS_SECRET_ACCESS_KEY", "key".into()),
            ("AWS_ENDPOINT_URL", front.url()),
            ("SSL_CERT_FILE", roots.display().to_string()),
            ("NO_PROXY", "127.0.0.1".into()),
            ("CHILD_DEADLINE", DEADLINE.as_millis().to_string()),
        ];
        world.run("default", variables, None).await.remove(0)
    };
    let usual = open(&world.server.url()).await;
    assert!(usual.is_ok(), "{usual:?}");
    for (name, answer) in
        ANSWERS.into_iter().filter(|(name, _)| name.contains("endless") || name.contains("huge"))
    {
        let found = open(&serve(answer, false)).await;
        println!("{name}: {} KiB, beside {} KiB as usual", found.peak >> 10, usual.peak >> 10);
        assert!(!found.is_ok() && found.peak < usual.peak + GROWTH, "{name}: {found:?}");
    }
}

/// A hanging program is killed when its call ends, and so are its children.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn hanging_processes_end_with_their_call() {
    let world = World::new().await;
    let pids = world.path("pids");
    let process = format!("sleep 1000 & echo $! $$ > {pids}; wait");
    world.file("config", &format!("[profile work]\nregion = us-east-1\ncredential_process = {process}\n"));
    let found = world.run("profile", [("CHILD_DEADLINE", "1000")], None).await.remove(0);
    assert_eq!(found.kind.as_deref(), Some("timeout"), "{found:?}");
    assert!(found.longest < Duration::from_secs(1) + TOLERANCE, "{found:?}");
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.split_whitespace().count(), 2);
    for pid in pids.split_whitespace() {
        // A killed process may be a zombie until its parent collects it.
        let is_gone = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
            Err(_) => true,
        };
        let start = std::time::Instant::now();
        while !is_gone() {
            assert!(start.elapsed() < Duration::from_secs(5), "{pid} lives on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The output of a program is bounded, and the error names its failure.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn failing_processes_are_named() {
    let world = World::new().await;
    for (process, words) in [
        ("yes", "longer than"),
        ("exit 3", "exit status: 3"),
        ("no-such-program-at-all", "exit status: 127"),
        ("echo", "not a JSON object"),
        ("echo '{}'", "Version is not 1"),
        (r#"echo '{"Version":1,"AccessKeyId":"A"}'"#, "no SecretAccessKey"),
        (
            r#"echo '{"Version":1,"AccessKeyId":"A\\n","SecretAccessKey":"s3cret"}'"#,
            "access key ID of the credentials",
        ),
        (
            r#"echo '{"Version":1,"AccessKeyId":"A","SecretAccessKey":"s3cret","Expiration":"x"}'"#,
            "not a timestamp",
        ),
        ("kill -9 $$", "signal: 9"),
    ] {
        world
            .file("config", &format!("[profile work]\nregion = us-east-1\ncredential_process = {process}\n"));
        let found = world.run("profile", [("CHILD_DEADLINE", "5000")], None).await.remove(0);
        assert_eq!(found.kind.as_deref(), Some("credentials"), "{process}: {found:?}");
        assert!(found.text.contains(words) && !found.text.contains("s3cret"), "{process}: {found:?}");
    }
}
