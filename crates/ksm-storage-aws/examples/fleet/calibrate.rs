//! The simulation beside real processes, with the SDK over HTTP, on loopback.

use std::{
    env,
    num::NonZeroU32,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use ksm_storage_aws::{AwsSecretStorage, Result};
use ksm_storage_core::ConfigStorage;
use ksm_storage_emulator::{Action, Emulator, Server, Value};

use crate::simulation::Fleet;

const STARTS: u32 = 500;
/// Less than this machine can start, so that many are throttled.
const GETS: u32 = 40;

/// One start of the fleet: exits with an error unless it opens.
pub(crate) fn start(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let opening = AwsSecretStorage::from_custom_config("ksm-config", "AKIA", "key", "us-east-1")
        .endpoint_url(url)
        .open();
    let opened: Result<ConfigStorage> = runtime.block_on(opening);
    if let Err(error) = opened {
        println!("{error}");
        std::process::exit(1);
    }
}

/// Starts processes, and prints what became of them beside what the simulation says.
pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let server = runtime.block_on(Server::start(Emulator::new("us-east-1"))).expect("a port of loopback");
    let emulator = server.emulator();
    emulator.secret("ksm-config").overwrite(Value::Text("{}".into()));
    emulator.set_rate(Action::GetSecretValue, NonZeroU32::new(GETS));
    let program = env::current_exe().expect("this program has a path");
    let begin = Instant::now();
    let mut running: Vec<_> = (0..STARTS)
        .map(|_| {
            let mut child = Command::new(&program);
            child.args(["start", &server.url()]).stdout(Stdio::null()).stderr(Stdio::null());
            (Instant::now(), child.spawn().expect("a process can be started"))
        })
        .collect();
    let within = begin.elapsed();
    let (mut opened, mut failed) = (Vec::new(), 0);
    while !running.is_empty() {
        std::thread::sleep(Duration::from_millis(2));
        running.retain_mut(|(start, child)| match child.try_wait().expect("a child can be waited for") {
            None => true,
            Some(status) => {
                if status.success() {
                    opened.push(start.elapsed());
                } else {
                    failed += 1;
                }
                false
            }
        });
    }
    opened.sort_unstable();
    let time = |share: f64| {
        opened.get((share * (opened.len().max(1) - 1) as f64) as usize).copied().unwrap_or_default()
    };
    let gets = emulator.calls(Action::GetSecretValue);
    println!("{STARTS} starts within {within:.2?}, {GETS} Gets per second");
    println!("| | opened | Gets per start | median | 99 % |\n|---|---|---|---|---|");
    let row = |name: &str, share: f64, gets: f64, median: Duration, late: Duration| {
        let (share, median, late) = (100.0 * share, median.as_secs_f64(), late.as_secs_f64());
        println!("| {name} | {share:.1} % | {gets:.2} | {median:.2} s | {late:.2} s |");
    };
    let all = f64::from(STARTS);
    row("processes", f64::from(STARTS - failed) / all, gets as f64 / all, time(0.5), time(0.99));
    let report = Fleet { starts: STARTS, within, gets: GETS, ..Fleet::default() }.run();
    row("simulation", report.opened(), report.gets_per_start(), report.quantile(0.5), report.quantile(0.99));
}
