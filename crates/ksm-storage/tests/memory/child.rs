//! The process that uses the value, and searches its own memory after each step.

use std::{env, future::Future, sync::mpsc, thread};

use crate::{
    keeper,
    report::MARK,
    scan::{Found, Needle, Place, Search},
    storage,
};

#[test]
#[ignore = "run as a child process by the other tests"]
fn child() {
    let needle = Needle::from_masked(&variable("MASKED"));
    let (used, steps) = mpsc::channel();
    let (go_on, waiting) = mpsc::channel();
    // A separate thread, whose stack stays as the step left it during the search.
    let thread = thread::spawn({
        let needle = needle.clone();
        move || {
            let here = 0_u8;
            let stack = std::ptr::from_ref(&here).addr();
            scenario(&variable("SCENARIO"), &Steps { needle, stack, used, waiting });
        }
    });
    let mut search = None;
    for (step, stack) in steps {
        let search = search.get_or_insert_with(|| Search::new(stack).unwrap());
        let found = search.copies(&needle).unwrap();
        let on_stack = found.iter().filter(|found| found.place == Place::Stack).count();
        println!("{MARK}{step}\t{}\t{on_stack}\t{}", found.len(), summary(&found));
        go_on.send(()).unwrap();
    }
    thread.join().unwrap();
}

fn summary(found: &[Found]) -> String {
    let kinds: Vec<_> = found.iter().map(|found| format!("{:?}/{:?}", found.place, found.part_of)).collect();
    let same = kinds.chunk_by(|one, other| one == other);
    same.map(|same| format!("{} {}", same.len(), same[0])).collect::<Vec<_>>().join(", ")
}

pub(crate) fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// The input of a scenario.
pub(crate) struct Steps {
    pub(crate) needle: Needle,
    stack: usize,
    used: mpsc::Sender<(&'static str, usize)>,
    waiting: mpsc::Receiver<()>,
}

impl Steps {
    /// Waits until the memory has been searched.
    pub(crate) fn after(&self, step: &'static str) {
        self.used.send((step, self.stack)).unwrap();
        self.waiting.recv().unwrap();
    }

    /// Drives the future on a runtime that is dropped afterwards.
    pub(crate) fn drive(&self, future: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            future.await;
            // Work that the future left to other tasks.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            self.after("dropped");
        });
        drop(runtime);
        self.after("runtime ended");
    }
}

fn scenario(name: &str, steps: &Steps) {
    match name {
        "control" => {
            let value = ksm_storage::ExposeSecret::expose_secret(&steps.needle.reveal()).to_owned();
            steps.after("held");
            drop(value);
            steps.after("dropped");
        }
        _ if name.starts_with("keeper") => keeper::scenario(name, steps),
        _ => storage::scenario(name, steps),
    }
}
