//! Compares the simulation with real processes, which use the SDK over HTTP on loopback.

use std::{
    collections::BTreeMap,
    env,
    num::NonZeroU32,
    process::{Command, Stdio},
    time::{Duration, Instant, UNIX_EPOCH},
};

use ksm_storage_aws::{AwsSecretStorage, Result};
use ksm_storage_core::ConfigStorage;
use ksm_storage_emulator::{Action, Emulator, Server, Value};

use crate::simulation::Fleet;

const STARTS: u32 = 500;
/// Time between starts: long enough that a small machine does not become the bottleneck.
const PAUSE: Duration = Duration::from_millis(50);
/// `GetSecretValue` per second: fewer than the starts.
const GETS: u32 = 12;

/// Starts one program of the fleet. Prints when it began and, if it succeeded, how long it took.
pub(crate) fn start(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let opening = AwsSecretStorage::from_custom_config("ksm-config", "AKIA", "key", "us-east-1")
        .endpoint_url(url)
        .open();
    let (began, start) = (UNIX_EPOCH.elapsed().unwrap_or_default(), Instant::now());
    let opened: Result<ConfigStorage> = runtime.block_on(opening);
    match opened {
        Ok(_) => println!("{} {}", began.as_millis(), start.elapsed().as_millis()),
        Err(error) => println!("{} {}", began.as_millis(), error.kind().as_str()),
    }
}

/// Starts processes, and prints their results beside those of a simulation with starts at the same moments.
pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let server = runtime.block_on(Server::start(Emulator::new("us-east-1"))).expect("a port of loopback");
    let emulator = server.emulator();
    emulator.secret("ksm-config").overwrite(Value::Text("{}".into()));
    emulator.set_rate(Action::GetSecretValue, NonZeroU32::new(GETS));
    let program = env::current_exe().expect("this program has a path");
    let start = || {
        let mut child = Command::new(&program);
        child.args(["start", &server.url()]).stdout(Stdio::piped()).stderr(Stdio::null());
        child.spawn().expect("a process can be started")
    };
    let paused = |_| {
        std::thread::sleep(PAUSE);
        start()
    };
    let running: Vec<_> = (0..STARTS).map(paused).collect();
    let (mut began, mut times, mut failures) = (Vec::new(), Vec::new(), BTreeMap::<String, u32>::new());
    for child in running {
        let output = child.wait_with_output().expect("a child can be waited for");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (moment, end) = text.trim().split_once(' ').expect("a start prints two words");
        began.push(Duration::from_millis(moment.parse().expect("a time")));
        match end.parse() {
            Ok(time) => times.push(Duration::from_millis(time)),
            Err(_) => *failures.entry(end.to_owned()).or_default() += 1,
        }
    }
    began.sort_unstable();
    times.sort_unstable();
    let first = began.first().copied().unwrap_or_default();
    let arrivals: Vec<_> = began.iter().map(|moment| moment.saturating_sub(first)).collect();
    let within = arrivals.last().copied().unwrap_or_default();
    println!("{STARTS} processes within {:.1} s, {GETS} Gets per second", within.as_secs_f64());
    println!("processes that failed: {failures:?}\n");
    println!("| | opened | Gets per start | median | 99 % |\n|---|---|---|---|---|");
    let row = |name: &str, share: f64, gets: f64, median: Duration, late: Duration| {
        let (share, median, late) = (100.0 * share, median.as_secs_f64(), late.as_secs_f64());
        println!("| {name} | {share:.1} % | {gets:.2} | {median:.2} s | {late:.2} s |");
    };
    let time = |share: f64| {
        times.get((share * times.len().saturating_sub(1) as f64) as usize).copied().unwrap_or_default()
    };
    let (all, gets) = (f64::from(STARTS), emulator.calls(Action::GetSecretValue) as f64);
    row("processes", times.len() as f64 / all, gets / all, time(0.5), time(0.99));
    let report = Fleet { starts: STARTS, arrivals, gets: GETS, ..Fleet::default() }.run();
    row("simulation", report.opened(), report.gets_per_start(), report.quantile(0.5), report.quantile(0.99));
}
