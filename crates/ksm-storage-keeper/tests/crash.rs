//! Processes that are killed in the middle of a bind, and processes that bind with one token at the same time; with the
//! real SDKs of AWS and Keeper, over HTTP and HTTPS.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::{
    env,
    process::{Output, Stdio},
    time::Duration,
};

use ksm_storage_aws::AwsSecretStorage;
use ksm_storage_core::{BindState, ConfigDocument};
use ksm_storage_emulator::{
    Action::PutSecretValue,
    Break, Emulator, Fault as AwsFault, Server, Value,
    keeper::{AppKeyPolicy, FakeKeeper, Fault},
};
use ksm_storage_keeper::{ErrorKind, KeeperClient};

use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

const POLICIES: [AppKeyPolicy; 2] = [AppKeyPolicy::Once, AppKeyPolicy::UntilConfirmed];
/// Runs for each policy that are killed at a moment of chance.
const RANDOM_RUNS: u64 = 100;
/// How many of them go on at once: they mostly wait.
const AT_ONCE: usize = 4;

/// What each child process does: starts as a service does, and reads its records.
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
        timeout(Duration::from_mins(1), self.spawn().wait_with_output()).await.unwrap().unwrap()
    }

    /// Ends the process as the kernel does, and lets what was on its way arrive.
    async fn kill(mut child: Child) {
        child.kill().await.unwrap();
        sleep(Duration::from_millis(30)).await;
    }

    fn is_bound(&self) -> bool {
        let stored = self.aws.emulator().secret("ksm-config").value("AWSCURRENT").unwrap();
        ConfigDocument::parse(stored.as_bytes()).unwrap().bind_state() == BindState::Bound
    }

    /// Whether a later process can go on: not if the one reply with the application key has been given, and is lost.
    fn can_go_on(&self, policy: AppKeyPolicy) -> bool {
        let given = self.keeper.seen().iter().any(|seen| seen.with_public_key);
        self.is_bound() || !given || policy == AppKeyPolicy::UntilConfirmed
    }
}

#[track_caller]
fn assert_ended(output: &Output, can_go_on: bool, run: &str) {
    let text = String::from_utf8_lossy(&output.stdout);
    let expected = if can_go_on { "records: 2" } else { "token spent" };
    assert!(output.status.success() && text.contains(expected), "{run}: not `{expected}`:\n{text}");
}

/// Waits for something that a child is about to do.
async fn until(reached: impl Fn() -> bool) {
    let poll = async {
        while !reached() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(20), poll).await.unwrap();
    // Between the arrival of a request and its effect.
    sleep(Duration::from_millis(20)).await;
}

const HANG: AwsFault = AwsFault::Before(Break::Hang);
const APPLY_AND_HANG: AwsFault = AwsFault::After(Break::Hang);
const AS_USUAL: AwsFault = AwsFault::Delay(Duration::ZERO);

/// A moment at which the process is killed: what hangs there, and whether the service gives the key only `Once` has then
/// given it in vain.
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

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_any_checkpoint_is_followed_by_one_that_goes_on() {
    for policy in POLICIES {
        for checkpoint in &CHECKPOINTS {
            let world = World::new(policy).await;
            world.aws.emulator().fail(PutSecretValue, checkpoint.puts.iter().cloned());
            world.keeper.fail_next(checkpoint.requests.iter().copied());
            let child = world.spawn();
            until(|| {
                world.aws.emulator().calls(PutSecretValue) >= checkpoint.puts.len()
                    && world.keeper.seen().len() >= checkpoint.requests.len()
            })
            .await;
            World::kill(child).await;
            let can_go_on = policy == AppKeyPolicy::UntilConfirmed || !checkpoint.loses_once;
            let run = format!("{policy:?}, {}", checkpoint.name);
            assert_eq!(world.can_go_on(policy), can_go_on, "{run}");
            assert_ended(&world.run().await, can_go_on, &run);
            assert_eq!(world.is_bound(), can_go_on, "{run}");
        }
    }
}

/// One run that is killed at a moment that the seed gives. Returns whether it was in the middle of the bind.
async fn random_run(policy: AppKeyPolicy, seed: u64, longest: Duration) -> bool {
    let world = World::new(policy).await;
    let child = world.spawn();
    sleep(longest.mul_f64(fastrand::Rng::with_seed(seed).f64())).await;
    World::kill(child).await;
    let began = world.aws.emulator().calls(PutSecretValue) > 0;
    let ended = world.keeper.seen().len() > 1;
    let can_go_on = world.can_go_on(policy);
    assert_ended(&world.run().await, can_go_on, &format!("{policy:?}, seed {seed}"));
    began && !ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_at_any_moment_is_followed_by_one_that_goes_on() {
    for policy in POLICIES {
        let start = std::time::Instant::now();
        assert_ended(&World::new(policy).await.run().await, true, "not killed");
        let longest = start.elapsed().mul_f64(1.5);
        let mut runs = tokio::task::JoinSet::new();
        let (mut seeds, mut amidst) = (0..RANDOM_RUNS, 0);
        loop {
            while runs.len() < AT_ONCE
                && let Some(seed) = seeds.next()
            {
                runs.spawn(random_run(policy, seed, longest));
            }
            let Some(run) = runs.join_next().await else { break };
            amidst += u64::from(run.unwrap());
        }
        println!("{policy:?}: {RANDOM_RUNS} runs, {amidst} of them killed in the middle of the bind");
        assert!(amidst > 0, "no run was killed in the middle of the bind");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_with_one_token_end_bound_with_one_key_pair() {
    for policy in POLICIES {
        for round in 0..5 {
            let world = World::new(policy).await;
            let (one, other) = tokio::join!(world.run(), world.run());
            let run = format!("{policy:?}, round {round}");
            assert_ended(&one, true, &run);
            assert_ended(&other, true, &run);
            assert!(world.is_bound(), "{run}");
            assert_ended(&world.run().await, true, &run);
        }
    }
}
