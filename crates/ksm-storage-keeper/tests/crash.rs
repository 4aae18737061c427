//! Processes killed during a bind, and concurrent processes that bind with one token, with the real AWS and Keeper SDKs
//! over HTTP and HTTPS.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::{
    env,
    process::{Output, Stdio},
    time::Duration,
};

use ksm_storage_aws::AwsSecretStorage;
use ksm_storage_core::{BindState, ConfigDocument};
use ksm_storage_emulator::{
    Action::{GetSecretValue, PutSecretValue},
    Emulator, Fault as AwsFault, ResponseFault, Server, Value,
    keeper::{AppKeyPolicy, FakeKeeper, Fault},
};
use ksm_storage_keeper::{ErrorKind, KeeperClient};

use tokio::{
    process::{Child, Command},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

const POLICIES: [AppKeyPolicy; 2] = [AppKeyPolicy::Once, AppKeyPolicy::UntilConfirmed];
/// The number of runs per policy that are killed at a random moment.
const RANDOM_RUNS: u64 = 100;
/// The number of processes that run at once until they are killed. More would be slower, and would not get far.
static TO_BE_KILLED: Semaphore = Semaphore::const_new(4);
/// The number of concurrent runs, most of which are waiting.
const AT_ONCE: usize = 16;
/// Longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// The work of each child process: starts like a service, and reads its records.
#[tokio::test]
#[ignore = "run as a child process by the other tests"]
async fn child() {
    let variable = |name: &str| env::var(name).unwrap();
    let aws = AwsSecretStorage::from_custom_config("ksm-config", "AKIA", "key", "us-east-1");
    let storage = aws.endpoint_url(variable("CHILD_AWS")).open().await.unwrap();
    let builder = KeeperClient::builder()
        .token(variable("CHILD_TOKEN"))
        .hostname(variable("CHILD_HOST"))
        .server_public_key(variable("CHILD_KEY"))
        .server_public_key_id("901")
        .insecure_skip_verify();
    match builder.open(storage).await {
        Ok(client) => println!("records: {}", client.get_secrets(&[]).await.unwrap().len()),
        Err(error) if error.kind() == ErrorKind::TokenSpent => println!("token spent"),
        Err(error) => panic!("{error}"),
    }
}

struct World {
    aws: Server,
    keeper: FakeKeeper,
    token: String,
}

impl World {
    async fn new(policy: AppKeyPolicy) -> Self {
        let emulator = Emulator::new("us-east-1");
        emulator.secret("ksm-config").overwrite(Value::Text("{}".into()));
        let keeper = FakeKeeper::start(policy).unwrap();
        let token = keeper.issue_token();
        Self { aws: Server::start(emulator).await.unwrap(), keeper, token }
    }

    fn spawn(&self) -> Child {
        Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child", "--nocapture"])
            .env_clear()
            .env("CHILD_AWS", self.aws.url())
            .env("CHILD_HOST", self.keeper.hostname())
            .env("CHILD_KEY", self.keeper.server_public_key())
            .env("CHILD_TOKEN", &self.token)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn run(&self) -> Output {
        timeout(PATIENCE, self.spawn().wait_with_output()).await.unwrap().unwrap()
    }

    /// The number of requests to AWS and Keeper: 8 after a bind, 9 after reading the records.
    fn requests(&self) -> usize {
        let aws = self.aws.emulator();
        aws.calls(GetSecretValue) + aws.calls(PutSecretValue) + self.keeper.requests().len()
    }

    fn stored(&self) -> ConfigDocument {
        let stored = self.aws.emulator().secret("ksm-config").value("AWSCURRENT").unwrap();
        ConfigDocument::parse(stored.as_bytes()).unwrap()
    }

    fn is_bound(&self) -> bool {
        self.stored().bind_state() == BindState::Bound
    }

    /// Returns true once everything that precedes the kill has happened.
    fn has_reached(&self, checkpoint: &Checkpoint) -> bool {
        let is_applied = match checkpoint.puts {
            [AwsFault::After(_)] => !self.stored().is_empty(),
            [_, AwsFault::After(_)] => self.is_bound(),
            _ => true,
        };
        let puts = self.aws.emulator().calls(PutSecretValue);
        is_applied
            && puts >= checkpoint.puts.len()
            && self.keeper.requests().len() >= checkpoint.requests.len()
    }

    /// Returns true if a later process can resume. It cannot if the only reply with the application key was lost.
    fn can_go_on(&self, policy: AppKeyPolicy) -> bool {
        let given = self.keeper.requests().iter().any(|seen| seen.with_public_key);
        self.is_bound() || !given || policy == AppKeyPolicy::UntilConfirmed
    }
}

#[track_caller]
fn assert_ended(output: &Output, can_go_on: bool, run: &str) {
    let text = String::from_utf8_lossy(&output.stdout);
    let expected = if can_go_on { "records: 2" } else { "token spent" };
    assert!(output.status.success() && text.contains(expected), "{run}: not `{expected}`:\n{text}");
}

/// Waits until a child has done something.
async fn until(reached: impl Fn() -> bool) {
    let poll = async {
        while !reached() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, poll).await.unwrap();
}

/// Executes the runs concurrently, and returns their results in order of completion.
async fn all<T: Send + 'static>(
    runs: impl IntoIterator<Item: Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let (mut runs, mut going_on, mut results) = (runs.into_iter(), JoinSet::new(), Vec::new());
    loop {
        while going_on.len() < AT_ONCE
            && let Some(run) = runs.next()
        {
            going_on.spawn(run);
        }
        let Some(result) = going_on.join_next().await else { return results };
        results.push(result.unwrap());
    }
}

const HANG: AwsFault = AwsFault::Before(ResponseFault::Hang);
const APPLY_AND_HANG: AwsFault = AwsFault::After(ResponseFault::Hang);
const AS_USUAL: AwsFault = AwsFault::Delay(Duration::ZERO);

/// The moment at which the process is killed: the request that hangs, and whether a service that hands out the key only
/// `Once` has by then done so in vain.
struct Checkpoint {
    name: &'static str,
    puts: &'static [AwsFault],
    requests: &'static [Fault],
    loses_once: bool,
}

const CHECKPOINTS: [Checkpoint; 8] = [
    Checkpoint { name: "before the key pair is stored", puts: &[HANG], requests: &[], loses_once: false },
    Checkpoint { name: "the key pair is stored", puts: &[APPLY_AND_HANG], requests: &[], loses_once: false },
    Checkpoint { name: "before the request", puts: &[], requests: &[Fault::HangBefore], loses_once: false },
    Checkpoint { name: "the reply is lost", puts: &[], requests: &[Fault::HangAfter], loses_once: true },
    Checkpoint { name: "before the key is stored", puts: &[AS_USUAL, HANG], requests: &[], loses_once: true },
    Checkpoint {
        name: "the key is stored",
        puts: &[AS_USUAL, APPLY_AND_HANG],
        requests: &[],
        loses_once: false,
    },
    Checkpoint {
        name: "before the confirming request",
        puts: &[],
        requests: &[Fault::None, Fault::HangBefore],
        loses_once: false,
    },
    Checkpoint {
        name: "the confirming reply is lost",
        puts: &[],
        requests: &[Fault::None, Fault::HangAfter],
        loses_once: false,
    },
];

async fn run_to(checkpoint: &Checkpoint, policy: AppKeyPolicy) {
    let world = World::new(policy).await;
    world.aws.emulator().fail(PutSecretValue, checkpoint.puts.iter().cloned());
    world.keeper.fail_next(checkpoint.requests.iter().copied());
    let mut child = world.spawn();
    until(|| world.has_reached(checkpoint)).await;
    child.kill().await.unwrap();
    let can_go_on = policy == AppKeyPolicy::UntilConfirmed || !checkpoint.loses_once;
    let run = format!("{policy:?}, {}", checkpoint.name);
    assert_eq!(world.can_go_on(policy), can_go_on, "{run}");
    assert_ended(&world.run().await, can_go_on, &run);
    assert_eq!(world.is_bound(), can_go_on, "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_at_checkpoint_is_recovered() {
    let runs = POLICIES
        .into_iter()
        .flat_map(|policy| CHECKPOINTS.iter().map(move |checkpoint| run_to(checkpoint, policy)));
    assert_eq!(all(runs).await.len(), 2 * CHECKPOINTS.len());
}

/// Kills one run after a request and a delay that depend on the seed. Returns whether that was during the bind.
async fn random_run(policy: AppKeyPolicy, seed: u64) -> bool {
    let (world, mut random) = (World::new(policy).await, fastrand::Rng::with_seed(seed));
    let (requests, delay) = (random.usize(1..=9), Duration::from_micros(random.u64(0..20_000)));
    let permit = TO_BE_KILLED.acquire().await.unwrap();
    let mut child = world.spawn();
    let reached = async {
        until(|| world.requests() >= requests).await;
        sleep(delay).await;
    };
    tokio::select! {
        () = reached => child.kill().await.unwrap(),
        _ = child.wait() => {}
    }
    drop(permit);
    // Gives requests in flight time to arrive.
    sleep(Duration::from_millis(250)).await;
    let began = world.aws.emulator().calls(PutSecretValue) > 0;
    let ended = world.keeper.requests().len() > 1;
    let can_go_on = world.can_go_on(policy);
    assert_ended(&world.run().await, can_go_on, &format!("{policy:?}, seed {seed}"));
    began && !ended
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_at_any_moment_is_recovered() {
    let runs = POLICIES.into_iter().flat_map(|policy| {
        (0..RANDOM_RUNS).map(move |seed| async move { (policy, random_run(policy, seed).await) })
    });
    let runs = all(runs).await;
    for policy in POLICIES {
        let amidst = runs.iter().filter(|run| **run == (policy, true)).count();
        println!("{policy:?}: {RANDOM_RUNS} runs, {amidst} of them killed in the middle of the bind");
        assert!(amidst > 0, "no run was killed in the middle of the bind");
    }
}

/// Starts two processes at the same time, and then a later one.
async fn two_at_once(policy: AppKeyPolicy) {
    let world = World::new(policy).await;
    let (one, other) = tokio::join!(world.run(), world.run());
    let run = format!("{policy:?}");
    assert_ended(&one, true, &run);
    assert_ended(&other, true, &run);
    assert!(world.is_bound(), "{run}");
    assert_ended(&world.run().await, true, &run);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_processes_share_one_binding() {
    // Only a few, so that the two processes really overlap.
    for _ in 0..5 {
        POLICIES.map(two_at_once).into_iter().collect::<JoinSet<_>>().join_all().await;
    }
}
