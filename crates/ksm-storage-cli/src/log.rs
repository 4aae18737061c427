//! Logs this project's events to standard error. Events of the AWS SDK and HTTP clients are excluded, because they may
//! contain whole replies.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Logs warnings by default.
pub(crate) fn install(quiet: bool, verbose: u8) {
    let level = match (quiet, verbose) {
        (true, _) => return,
        (_, 0) => LevelFilter::WARN,
        (_, 1) => LevelFilter::INFO,
        (_, 2) => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let spans = if verbose > 2 { fmt::format::FmtSpan::CLOSE } else { fmt::format::FmtSpan::NONE };
    let layer = fmt::layer().with_writer(io::stderr).with_ansi(false).without_time().with_span_events(spans);
    let own = Targets::new().with_target("ksm_storage", level);
    tracing_subscriber::registry().with(layer).with(own).init();
}
