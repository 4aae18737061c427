//! Programs that were not written here, and several processes, on one secret with the AWS backend.

use std::{
    env,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use ksm_storage_aws::{AwsSecretStorage, Concurrency};
use ksm_storage_core::{
    ConfigDocument, ConfigKey, ConfigKey::Url, ConfigStorage, Error, ErrorKind, ExposeSecret, Outcome,
};
use ksm_storage_emulator::{Emulator, Server as EmulatorServer, fixture::sdk_config};
use ksm_storage_testkit::Clause;

use crate::python::{Process, Program, Server, install, script};

type Checked = Result<(), Box<dyn std::error::Error>>;

/// A check, with the clause that it is about.
pub(crate) type Peer = (Clause, &'static str, fn() -> Checked);

pub(crate) const ALL: [Peer; 7] = [
    (Clause::C6, "four processes of 25 increments each lose nothing on moto", || processes("optimistic")),
    (Clause::C6, "the same in strict mode", || processes("strict")),
    (Clause::C7, "boto3 and this backend respect each other's writes on the emulator", boto3),
    (Clause::C10, "Keeper's Python storage and this backend read what the other wrote", keeper_storage),
    (Clause::C1, "EC2 mode takes role and region from ministack's metadata service", ec2_instance),
    (Clause::C1, "a profile that assumes a role opens through moto's STS", || sts(Role::Assumed)),
    (Clause::C1, "a web identity opens through moto's STS", || sts(Role::WebIdentity)),
];

const PROCESSES: usize = 4;
const INCREMENTS: usize = 25;

/// Several processes on moto, all writing the same contents: a bare counter.
fn processes(mode: &str) -> Checked {
    let moto = Server::start(Program::Moto)?;
    let secret = Secret::create(moto.url(), "{}")?;
    let start = |_| Process::of_this_program(&["increment", mode, &secret.arn, moto.url()], &[]);
    let processes = (0..PROCESSES).map(start).collect::<Result<Vec<_>, _>>()?;
    for process in processes {
        process.end()?;
    }
    let document = ConfigDocument::parse(secret.get()?.as_bytes())?;
    let counted = document.get(Url).map(ExposeSecret::expose_secret).unwrap_or_default();
    equal(counted, &(PROCESSES * INCREMENTS).to_string())
}

/// What a process does that a check has started.
pub(crate) fn child(args: &[String]) -> Checked {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["increment", mode, secret, url] => increment(mode, secret, url),
        ["open", mode, secret] => block_on(async {
            let builder = match mode {
                "ec2" => AwsSecretStorage::from_ec2_instance_config(secret).without_fallback(),
                "default" => AwsSecretStorage::from_default_config(secret),
                profile => AwsSecretStorage::from_profile_config(secret, profile),
            };
            builder.open().await?;
            Ok(())
        }),
        _ => Err(format!("unknown child {args:?}").into()),
    }
}

/// How long a process may take.
const PATIENCE: Duration = Duration::from_mins(5);

impl Process {
    fn start(command: &mut Command) -> Result<Self, String> {
        // It says too little to fill a pipe.
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        child
            .map(Self)
            .map_err(|error| format!("{} cannot be started: {error}", command.get_program().display()))
    }

    /// A child of this program, with nothing in its environment but these variables.
    fn of_this_program(args: &[&str], variables: &[(&str, &str)]) -> Result<Self, String> {
        let program = env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        Self::start(command.arg("--child").args(args).env_clear().envs(variables.iter().copied()))
    }

    /// Waits for its end; returns what it printed, or what it said of its failure.
    fn end(mut self) -> Result<String, String> {
        let start = Instant::now();
        let status = loop {
            match self.0.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break status,
                None if start.elapsed() > PATIENCE => {
                    return Err(format!("it has not ended after {PATIENCE:?}"));
                }
                None => sleep(Duration::from_millis(20)),
            }
        };
        if status.success() {
            return Ok(text(self.0.stdout.take()));
        }
        Err(format!("{status}: {}", text(self.0.stderr.take())))
    }
}

fn text(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    // What came before an error is worth having.
    let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// Opens in a process of its own.
fn opens(mode: &str, secret: &str, variables: &[(&str, &str)]) -> Result<(), String> {
    Process::of_this_program(&["open", mode, secret], variables)?.end().map(drop)
}

/// Opens the same way, which must fail with these words.
fn fails(mode: &str, secret: &str, variables: &[(&str, &str)], words: &str) -> Result<(), String> {
    match opens(mode, secret, variables) {
        Err(error) if error.contains(words) => Ok(()),
        Err(error) => Err(format!("`{words}` is not in: {error}")),
        Ok(()) => Err(format!("it opens, and does not say `{words}`")),
    }
}

fn ec2_instance() -> Checked {
    let ministack = Server::start(Program::Ministack)?;
    Secret::create(ministack.url(), "{}")?;
    let service = ("AWS_ENDPOINT_URL", ministack.url());
    let metadata = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", ministack.url());
    opens("ec2", SECRET, &[service, metadata])?;
    // The control: it is from there that they come.
    let nowhere = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9");
    fails("ec2", SECRET, &[service, nowhere], "Failed to determine AWS region for EC2 instance.")?;
    Ok(())
}

/// How a role is had.
#[derive(Clone, Copy)]
enum Role {
    Assumed,
    WebIdentity,
}

fn sts(role: Role) -> Checked {
    let moto = Server::start(Program::Moto)?;
    let secret = Secret::create(moto.url(), "{}")?;
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).map(|()| path.display().to_string())
    };
    let config = file("config", CONFIG)?;
    let token = file("token", "a.web.identity")?;
    let (mode, mut variables) = match role {
        Role::Assumed => ("assumed", vec![("AWS_CONFIG_FILE", &*config)]),
        Role::WebIdentity => {
            ("default", vec![("AWS_WEB_IDENTITY_TOKEN_FILE", &*token), ("AWS_ROLE_ARN", ROLE), REGION])
        }
    };
    variables.extend([("AWS_ENDPOINT_URL", moto.url()), ("AWS_EC2_METADATA_DISABLED", "true")]);
    opens(mode, &secret.arn, &variables)?;
    // The control: without STS there is no role.
    variables.push(("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9"));
    fails(mode, &secret.arn, &variables, "no usable credentials")?;
    Ok(())
}

const ROLE: &str = "arn:aws:iam::123456789012:role/reader";
const REGION: (&str, &str) = ("AWS_REGION", "us-east-1");
const CONFIG: &str = "\
[profile base]
aws_access_key_id = AKIA
aws_secret_access_key = key
[profile assumed]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = base
region = us-east-1
";

/// What each of those processes does.
fn increment(mode: &str, secret: &str, url: &str) -> Checked {
    let concurrency = if mode == "strict" { Concurrency::Strict } else { Concurrency::Optimistic };
    block_on(async {
        let storage = AwsSecretStorage::from_sdk_config(secret, &sdk_config(url))
            .concurrency(concurrency)
            .open()
            .await?;
        let add_one = |document: &mut ConfigDocument| {
            let count =
                document.get(Url).and_then(|value| value.expose_secret().parse().ok()).unwrap_or(0_u32);
            document.set(Url, (count + 1).to_string());
            Ok::<_, Error>(())
        };
        for _ in 0..INCREMENTS {
            while let Err(error) = storage.update(add_one).await {
                let contention = matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Timeout);
                if !contention || error.outcome() != Outcome::NotApplied {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    })
}

/// Both ways: what boto3 writes is read and kept, and what is written here boto3 reads.
fn boto3() -> Checked {
    let python = install()?;
    block_on(async {
        let server = EmulatorServer::start(Emulator::new("us-east-1")).await?;
        let url = server.url();
        let blocking = |run: Box<dyn FnOnce() -> Result<String, String> + Send>| async {
            tokio::task::spawn_blocking(run).await.map_err(|error| error.to_string())?
        };
        let peer = |action: &'static str, secret: &str, value: &'static str| {
            let (python, url, secret) = (python.clone(), url.clone(), secret.to_owned());
            blocking(Box::new(move || run(&python, &url, &[action, &secret, value])))
        };
        let arn = peer("create", "boto3", r#"{"appUid": "theirs"}"#).await?;
        let storage = open(&arn, &url).await?;
        storage.set(ConfigKey::ClientId, "ours").await?;
        let read = ConfigDocument::parse(peer("get", &arn, "").await?.as_bytes())?;
        equal(&format!("{:?}", read.names().collect::<Vec<_>>()), r#"["appUid", "clientId"]"#)?;

        // A blind write of theirs, before the load of ours.
        peer("put", &arn, r#"{"hostname": "theirs"}"#).await?;
        storage.set(ConfigKey::AppKey, "ours").await?;
        let read = ConfigDocument::parse(peer("get", &arn, "").await?.as_bytes())?;
        equal(&format!("{:?}", read.names().collect::<Vec<_>>()), r#"["appKey", "hostname"]"#)
    })
}

fn keeper_storage() -> Checked {
    let moto = Server::start(Program::Moto)?;
    let secret = Secret::create(moto.url(), r#"{"hostname": "plain"}"#)?;
    let hostname = |secret: &Secret| {
        block_on(async {
            let storage = open(&secret.arn, &secret.url).await?;
            let hostname = storage.get(ConfigKey::Hostname);
            Ok(hostname.map(|value| value.expose_secret().to_owned()).unwrap_or_default())
        })
    };
    // Theirs, read here.
    equal(&hostname(&secret)?, "plain")?;
    secret.peer(&["storage-set", &secret.arn, "hostname", "set by Python"])?;
    equal(&hostname(&secret)?, "set by Python")?;
    secret.peer(&["put-base64", &secret.arn, r#"{"hostname": "base64"}"#])?;
    equal(&hostname(&secret)?, "base64")?;
    secret.peer(&["put-binary", &secret.arn, r#"{"hostname": "binary"}"#])?;
    equal(&hostname(&secret)?, "binary")?;

    // Ours, read there.
    block_on(async {
        open(&secret.arn, &secret.url).await?.set(ConfigKey::Hostname, "set by Rust").await?;
        Ok(())
    })?;
    equal(&secret.peer(&["storage-get", &secret.arn, "hostname"])?, "set by Rust")
}

const SECRET: &str = "peers/secret";

/// A secret that a peer has created.
struct Secret {
    python: PathBuf,
    url: String,
    arn: String,
}

impl Secret {
    fn create(url: &str, value: &str) -> Result<Self, String> {
        let python = install()?;
        let arn = run(&python, url, &["create", SECRET, value])?;
        Ok(Self { python, url: url.to_owned(), arn })
    }

    fn get(&self) -> Result<String, String> {
        self.peer(&["get", &self.arn])
    }

    fn peer(&self, args: &[&str]) -> Result<String, String> {
        run(&self.python, &self.url, args)
    }
}

/// Runs the peer with nothing in its environment but where the service is; returns what it printed.
fn run(python: &Path, url: &str, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(python);
    command
        .arg(script("peer.py"))
        .args(args)
        .env_clear()
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", "AKIA")
        .env("AWS_SECRET_ACCESS_KEY", "key")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    Process::start(&mut command)?.end().map_err(|error| format!("{args:?}: {error}"))
}

async fn open(secret: &str, url: &str) -> Result<ConfigStorage, Error> {
    AwsSecretStorage::from_sdk_config(secret, &sdk_config(url)).open().await
}

fn block_on<T>(
    future: impl Future<Output = Result<T, Box<dyn std::error::Error>>>,
) -> Result<T, Box<dyn std::error::Error>> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(future)
}

fn equal(found: &str, wanted: &str) -> Checked {
    if found == wanted { Ok(()) } else { Err(format!("found `{found}`, not `{wanted}`").into()) }
}
