//! A `fork`, with a limit to the time that the child may take.
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
/// The status of a child that panicked.
pub const PANICKED: u8 = 101;

/// Runs `child` in a child process, and returns the exit status that it returned. `None` if the child was killed, by this
/// function if it took longer than `limit`.
///
/// # Panics
/// If no process can be created.
pub fn in_child(limit: Duration, child: impl FnOnce() -> u8) -> Option<u8> {
    // SAFETY: the child runs `child` alone and exits without unwinding into the parent's frames. That the process has
    // other threads, whose locks stay locked in the child, is what is tested here.
    let pid = unsafe { fork() };
    if pid == 0 {
        let status = catch_unwind(AssertUnwindSafe(child)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            // The test harness would capture what a macro prints, in the memory of the child.
            let _ = writeln!(io::stderr(), "the child panicked: {text}");
            PANICKED
        });
        // SAFETY: ends the process at once.
        unsafe { _exit(status.into()) }
    }
    assert!(pid > 0, "no process can be created");
    let start = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: `status` outlives the call, and `pid` is a child that was not waited for yet.
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
