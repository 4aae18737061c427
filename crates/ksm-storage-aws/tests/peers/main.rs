//! The AWS backend together with third-party programs on one secret: several processes on moto, boto3, Keeper's storage
//! for Python, and the metadata service and STS of emulators.
//!
//! The programs are installed below `target/` with `python3`. Without it, the tests are reported as ignored, or as
//! failed if `KSM_CONFORMANCE_REQUIRE_ALL=1` is set.
#![allow(missing_docs)]

mod child;
mod credentials;

use std::{
    env,
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use ksm_storage_aws::AwsSecretStorage;
use ksm_storage_core::{ConfigDocument, ConfigKey, ConfigStorage, Error};
use ksm_storage_emulator::{Emulator, Server as EmulatorServer, fixture::sdk_config};
use libtest_mimic::{Arguments, Completion, Trial};
use python_peers::{Program, Server, peer};

type Checked = Result<(), Box<dyn std::error::Error>>;
type Test = (&'static str, fn(&Servers) -> Checked);

/// The tests. Each name begins with the contract clause that it checks.
const TESTS: [Test; 7] = [
    ("c01_ec2_mode_opens_on_ministack", credentials::ec2_mode),
    ("c01_assumed_role_opens_on_moto", credentials::assumed_role),
    ("c01_web_identity_opens_on_moto", credentials::web_identity),
    ("c06_optimistic_processes_lose_nothing", |servers| child::increments(servers, "optimistic")),
    ("c06_strict_processes_lose_nothing", |servers| child::increments(servers, "strict")),
    ("c07_boto3_and_backend_respect_writes", |_| boto3()),
    ("c10_keeper_storage_reads_and_writes", keeper_storage),
];

fn main() -> ExitCode {
    let args: Vec<_> = env::args().collect();
    if let [_, flag, task @ ..] = &args[..]
        && flag == child::FLAG
    {
        return child::run(task);
    }
    let args = Arguments::from_args();
    let servers = Arc::<Servers>::default();
    let trial = |(name, test): Test| {
        let servers = Arc::clone(&servers);
        Trial::ignorable_test(name, move || {
            if let Err(missing) = python_peers::install() {
                if env::var_os("KSM_CONFORMANCE_REQUIRE_ALL").is_some() {
                    return Err(missing.into());
                }
                return Ok(Completion::ignored_with(format!("NOT RUN: {missing}")));
            }
            test(&servers)?;
            Ok(Completion::Completed)
        })
    };
    libtest_mimic::run(&args, TESTS.into_iter().map(trial).collect()).exit_code()
}

/// The emulators. Each is started by the first test that needs it, and stopped after the last test.
#[derive(Default)]
struct Servers {
    moto: OnceLock<Result<Server, String>>,
    ministack: OnceLock<Result<Server, String>>,
}

impl Servers {
    fn url(&self, program: Program) -> Result<&str, String> {
        let server = match program {
            Program::Moto => &self.moto,
            Program::Ministack => &self.ministack,
        };
        let server = server.get_or_init(|| Server::start(program));
        server.as_ref().map(Server::url).map_err(Clone::clone)
    }

    /// Creates a secret with this value through boto3.
    fn secret(&self, program: Program, name: &str, value: &str) -> Result<Secret, String> {
        let url = self.url(program)?.to_owned();
        let arn = peer(&url, &["create", name, value])?;
        Ok(Secret { url, arn })
    }
}

/// A secret on an emulator.
struct Secret {
    url: String,
    arn: String,
}

impl Secret {
    /// Runs an action of the peer program on this secret.
    fn peer(&self, action: &str, values: &[&str]) -> Result<String, String> {
        peer(&self.url, &[&[action, &self.arn], values].concat())
    }

    async fn open(&self) -> Result<ConfigStorage, Error> {
        AwsSecretStorage::from_sdk_config(&*self.arn, &sdk_config(&self.url)).open().await
    }
}

/// The backend preserves values written by boto3, and boto3 reads values written by the backend.
fn boto3() -> Checked {
    block_on(async {
        let server = EmulatorServer::start(Emulator::new("us-east-1")).await?;
        let url = server.url();
        let secret = off_thread(move || {
            let arn = peer(&url, &["create", "boto3", r#"{"appUid": "theirs"}"#])?;
            Ok(Arc::new(Secret { url, arn }))
        })
        .await?;
        let run = |action: &'static str, values: &'static [&'static str]| {
            let secret = Arc::clone(&secret);
            off_thread(move || secret.peer(action, values))
        };
        let names = |json: &str| {
            let document = ConfigDocument::parse(json.as_bytes())?;
            Ok::<_, Error>(document.names().map(str::to_owned).collect::<Vec<_>>().join(" "))
        };
        let storage = secret.open().await?;
        storage.set(ConfigKey::ClientId, "ours").await?;
        equal(&names(&run("get", &[]).await?)?, "appUid clientId")?;

        // A blind write by boto3, before the next write loads the value.
        run("put", &[r#"{"hostname": "theirs"}"#]).await?;
        storage.set(ConfigKey::AppKey, "ours").await?;
        equal(&names(&run("get", &[]).await?)?, "appKey hostname")
    })
}

/// Keeper's storage for Python and this backend read what the other has written.
fn keeper_storage(servers: &Servers) -> Checked {
    let secret = servers.secret(Program::Moto, "keeper", r#"{"hostname": "plain"}"#)?;
    let hostname = || {
        block_on(async {
            let hostname = secret.open().await?.get(ConfigKey::Hostname);
            Ok(hostname.map(|value| value.expose_secret().to_owned()).unwrap_or_default())
        })
    };
    equal(&hostname()?, "plain")?;
    for (action, values, expected) in [
        ("storage-set", &["hostname", "set by Python"][..], "set by Python"),
        ("put-base64", &[r#"{"hostname": "base64"}"#], "base64"),
        ("put-binary", &[r#"{"hostname": "binary"}"#], "binary"),
    ] {
        secret.peer(action, values)?;
        equal(&hostname()?, expected)?;
    }
    block_on(async { Ok(secret.open().await?.set(ConfigKey::Hostname, "set by Rust").await?) })?;
    equal(&secret.peer("storage-get", &["hostname"])?, "set by Rust")
}

/// Runs a blocking call on another thread, so that the emulator in this process can answer it.
async fn off_thread<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(call).await.map_err(|error| error.to_string())?
}

fn block_on<T>(
    future: impl Future<Output = Result<T, Box<dyn std::error::Error>>>,
) -> Result<T, Box<dyn std::error::Error>> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(future)
}

fn equal(found: &str, expected: &str) -> Checked {
    if found == expected { Ok(()) } else { Err(format!("found `{found}`, expected `{expected}`").into()) }
}
