//! The largest amount of memory that this process has had resident.

/// Prints it, in KiB, if an argument asks for it.
pub(crate) fn report() {
    if !std::env::args().any(|argument| argument == "--peak") {
        return;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("{}", peak.unwrap_or_default().trim_end_matches("kB").trim());
}
