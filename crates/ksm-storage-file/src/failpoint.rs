/// Points of a write at which tests end the process, or run code of another writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failpoint {
    LockOpened,
    Locked,
    Created,
    Written,
    Synced,
    Checked,
    Placed,
    Preserved,
    Removed,
    FolderSynced,
}

#[cfg(not(test))]
pub(crate) fn reached(_: Failpoint) {}

#[cfg(test)]
pub(crate) use tests::reached;
#[cfg(all(test, unix))]
pub(crate) use tests::{during, lacks_exchange, without_exchange};

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::Failpoint;

    type Hook = Box<dyn FnMut(Failpoint)>;

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
        static LACKS_EXCHANGE: Cell<bool> = const { Cell::new(false) };
    }

    /// Calls `hook` at each failpoint that this thread reaches during `work`.
    #[cfg(unix)]
    pub(crate) fn during<T>(hook: impl FnMut(Failpoint) + 'static, work: impl FnOnce() -> T) -> T {
        HOOK.set(Some(Box::new(hook)));
        let result = work();
        HOOK.set(None);
        result
    }

    /// Runs `work` as on a file system that cannot exchange files.
    #[cfg(unix)]
    pub(crate) fn without_exchange<T>(work: impl FnOnce() -> T) -> T {
        LACKS_EXCHANGE.set(true);
        let result = work();
        LACKS_EXCHANGE.set(false);
        result
    }

    #[cfg(unix)]
    pub(crate) fn lacks_exchange() -> bool {
        LACKS_EXCHANGE.get()
    }

    pub(crate) fn reached(failpoint: Failpoint) {
        // Taken out, so that a hook may write as well.
        if let Some(mut hook) = HOOK.take() {
            hook(failpoint);
            HOOK.set(Some(hook));
        }
    }
}
