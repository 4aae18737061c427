//! `fork` with a time limit for the child.
#![cfg(unix)]

use std::{
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::{Duration, Instant},
};

unsafe extern "C" {
    fn fork() -> i32;
    fn _exit(status: i32) -> !;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn kill(pid: i32, signal: i32) -> i32;
}

const WNOHANG: i32 = 1;
const SIGKILL: i32 = 9;
/// The exit status of a child that panicked.
pub const PANICKED: u8 = 101;

/// Runs `child` in a child process, and returns its exit status. Kills the child after `limit`. Returns `None` if the
/// child was killed.
///
/// # Panics
/// If no process can be created.
pub fn in_child(limit: Duration, child: impl FnOnce() -> u8) -> Option<u8> {
    // SAFETY: the child runs only `child`, and exits without unwinding into the parent's frames. Locks of the parent's
    // other threads stay locked in the child, which is the condition under test.
    let pid = unsafe { fork() };
    if pid == 0 {
        let status = catch_unwind(AssertUnwindSafe(child)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            // A macro's output would be captured by the test harness, in the child's memory.
            let _ = writeln!(io::stderr(), "the child panicked: {text}");
            PANICKED
        });
        // SAFETY: `_exit` takes no pointers and does not return.
        unsafe { _exit(status.into()) }
    }
    assert!(pid > 0, "no process can be created");
    let start = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: `status` outlives the call, and `pid` is a child that has not been waited for.
        if unsafe { waitpid(pid, &raw mut status, WNOHANG) } == pid {
            return (status & 0x7f == 0).then_some(u8::try_from(status >> 8 & 0xff).unwrap_or(PANICKED));
        }
        if start.elapsed() > limit {
            // SAFETY: as above.
            unsafe {
                kill(pid, SIGKILL);
                waitpid(pid, &raw mut status, 0);
            }
            return None;
        }
        thread::sleep(Duration::from_micros(200));
    }
}
