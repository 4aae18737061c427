//! Writer processes, which are killed and stopped from outside.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{
    DEADLINE,
    check::{Call, Fate},
    fault::Fault,
    now,
    proxy::Met,
    writer,
};

/// The time within which processes must exit on their own after their last call.
const GRACE: Duration = Duration::from_secs(20);

/// A writer: a process and, after each kill, its replacement.
pub(crate) struct Writer {
    index: usize,
    url: String,
    mode: &'static str,
    until: u64,
    folder: PathBuf,
    child: Child,
    /// When each earlier process ended.
    ends: Vec<u64>,
    pauses: Vec<(u64, u64)>,
}

impl Writer {
    pub(crate) fn start(index: usize, url: String, mode: &'static str, until: u64, folder: &Path) -> Self {
        let folder = folder.to_owned();
        let child = spawn(index, 0, &url, mode, until, &folder);
        Self { index, url, mode, until, folder, child, ends: Vec::new(), pauses: Vec::new() }
    }

    /// Kills the process and starts a replacement, unless the process has already finished.
    pub(crate) async fn kill(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            assert!(status.success(), "writer {} failed", self.index);
            return;
        }
        self.child.kill().await.unwrap();
        self.ends.push(now());
        let Self { index, url, mode, until, folder, .. } = self;
        self.child = spawn(*index, self.ends.len(), url, mode, *until, folder);
    }

    /// Stops the process for `time`.
    pub(crate) async fn pause(&mut self, time: Duration) {
        let from = now();
        self.signal(Signal::STOP);
        sleep(time).await;
        self.signal(Signal::CONT);
        self.pauses.push((from, now()));
    }

    fn signal(&self, signal: Signal) {
        // An exited process has no ID.
        if let Some(id) = self.child.id() {
            let pid = Pid::from_raw(id.try_into().unwrap()).unwrap();
            kill_process(pid, signal).unwrap();
        }
    }

    /// Waits until the process has finished its last calls, and returns the calls of all processes.
    pub(crate) async fn finish(mut self) -> Vec<Call> {
        match timeout(DEADLINE + GRACE, self.child.wait()).await {
            Ok(status) => assert!(status.unwrap().success(), "writer {} failed", self.index),
            Err(_) => self.child.kill().await.unwrap(),
        }
        self.ends.push(now());
        let read = |(number, end): (usize, &u64)| {
            let log = fs::read_to_string(log(&self.folder, self.index, number)).unwrap_or_default();
            calls(&log, *end, &self.pauses)
        };
        self.ends.iter().enumerate().flat_map(read).collect()
    }
}

fn spawn(index: usize, number: usize, url: &str, mode: &str, until: u64, folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", writer::TEST, "--nocapture"])
        .env_clear()
        .env("CHAOS_URL", url)
        .env("CHAOS_MODE", mode)
        .env("CHAOS_UNTIL", until.to_string())
        .env("CHAOS_PREFIX", format!("{index}.{number}"))
        .env("CHAOS_LOG", log(folder, index, number))
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn log(folder: &Path, index: usize, number: usize) -> PathBuf {
    folder.join(format!("{index}-{number}.log"))
}

/// Parses the log of a process that ended at `end`.
fn calls(log: &str, end: u64, pauses: &[(u64, u64)]) -> Vec<Call> {
    let lines: Vec<Vec<_>> = log.lines().map(|line| line.split(' ').collect()).collect();
    let stalls: Vec<_> =
        lines.iter().filter(|line| line[0] == "stall").map(|line| (time(line[1]), time(line[2]))).collect();
    let begun = lines.iter().filter(|line| line[0] == "begin").map(|line| {
        let (mark, begin) = (line[1], time(line[2]));
        let ended = lines.iter().find(|line| line[0] == "end" && line[1] == mark);
        let (end, fate, kind) = match ended {
            Some(line) => (time(line[2]), fate(line[3]), line[4]),
            None => (end, Fate::Open, "no answer"),
        };
        let overlap = |(from, to): &(u64, u64)| to.min(&end).saturating_sub(*from.max(&begin));
        let [stalled, stopped]: [u64; 2] = [&*stalls, pauses].map(|times| times.iter().map(overlap).sum());
        let of_process = [(stopped > 0, Fault::Paused), (fate == Fate::Open, Fault::Killed)];
        let met = of_process.into_iter().filter(|(met, _)| *met).map(|(_, fault)| fault).collect();
        Call { mark: mark.to_owned(), begin, end, paused: stalled, fate, kind: kind.to_owned(), met }
    });
    begun.collect()
}

/// Attributes to each call of a writer the faults that its requests met.
pub(crate) fn attribute(calls: &mut [Call], writer: usize, met: &[Met]) {
    for call in calls {
        let during = |met: &&Met| met.writer == writer && (call.begin..=call.end).contains(&met.at);
        call.met.extend(met.iter().filter(during).map(|met| met.fault));
    }
}

fn time(text: &str) -> u64 {
    text.parse().unwrap()
}

fn fate(word: &str) -> Fate {
    match word {
        "applied" => Fate::Applied,
        "not-applied" => Fate::NotApplied,
        "unknown" => Fate::Unknown,
        other => panic!("no fate of a call: {other}"),
    }
}
