//! Panics within a call: those of the SDK become errors, those of the caller's closure resume.
//!
//! A caught panic does not reveal its origin; only the panic hook does. The hook installed here at the first call
//! records the origin of panics on threads that run a call, and leaves everything else to the previous hook.

use std::{
    any::Any,
    backtrace::Backtrace,
    cell::RefCell,
    panic::{self, AssertUnwindSafe, Location as SourceLocation, PanicHookInfo, catch_unwind},
    path::Path,
    sync::Once,
};

/// A panic's payload. It may quote anything.
pub(crate) type Payload = Box<dyn Any + Send>;

/// A panic that was caught.
pub(crate) enum Panic {
    /// Raised within the SDK, at this place in its source, if known.
    Sdk(Option<String>),
    /// Raised by the closure of the caller.
    Caller(Payload),
}

/// The SDK's package, which is a directory in every path to its source.
const PACKAGE: &str = "keeper-secrets-manager-core";
const CRATE: &str = "keeper_secrets_manager_core::";

thread_local! {
    /// The origin of the last panic on a thread that runs a call.
    static ORIGIN: RefCell<Option<Origin>> = const { RefCell::new(None) };
}

enum Origin {
    Unknown,
    Sdk(String),
}

/// Runs a closure of this crate, any panic of which is the SDK's.
pub(crate) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, Option<String>> {
    caught(run).map_err(|(_, place)| place)
}

/// Runs a closure of the caller, which calls the SDK.
pub(crate) fn catch_foreign<T>(run: impl FnOnce() -> T) -> Result<T, Panic> {
    caught(run).map_err(|(payload, place)| match place {
        Some(place) => Panic::Sdk(Some(place)),
        None => Panic::Caller(payload),
    })
}

fn caught<T>(run: impl FnOnce() -> T) -> Result<T, (Payload, Option<String>)> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            note(info);
            previous(info);
        }));
    });
    ORIGIN.set(Some(Origin::Unknown));
    let outcome = catch_unwind(AssertUnwindSafe(run));
    let origin = ORIGIN.take();
    outcome.map_err(|payload| match origin {
        Some(Origin::Sdk(place)) => (payload, Some(place)),
        _ => (payload, None),
    })
}

fn note(info: &PanicHookInfo<'_>) {
    // A thread that is being destroyed has no such variable, and runs no call.
    let runs_call = ORIGIN.try_with(|origin| origin.try_borrow().is_ok_and(|origin| origin.is_some()));
    if runs_call.unwrap_or(false)
        && let Some(place) = info.location().and_then(sdk_place)
    {
        let _ = ORIGIN.try_with(|origin| origin.replace(Some(Origin::Sdk(place))));
    }
}

/// The place in the SDK's source: of the panic itself or, if a library below the SDK raised it, of the SDK's frame in
/// the stack.
fn sdk_place(location: &SourceLocation<'_>) -> Option<String> {
    let path = Path::new(location.file());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let place = format!("{name}:{}", location.line());
    let in_package = path.components().any(|part| part.as_os_str().to_string_lossy().starts_with(PACKAGE));
    let called_by_sdk = || {
        let stack = Backtrace::force_capture().to_string();
        stack.lines().filter_map(|line| line.split_once(": ")).any(|(_, name)| name.starts_with(CRATE))
    };
    (in_package || called_by_sdk()).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caller_panics_propagate() {
        let caught = catch_foreign(|| panic!("on purpose"));
        assert!(matches!(caught, Err(Panic::Caller(payload)) if payload.is::<&str>()));
        let caught = catch_foreign(|| panic::resume_unwind(Box::new(7)));
        assert!(matches!(caught, Err(Panic::Caller(payload)) if payload.is::<i32>()));
    }

    #[test]
    fn other_threads_are_left_alone() {
        let thread = std::thread::spawn(|| {
            let caught = catch_unwind(|| panic!("on purpose"));
            assert!(caught.is_err() && ORIGIN.with_borrow(Option::is_none));
        });
        thread.join().unwrap();
    }
}
