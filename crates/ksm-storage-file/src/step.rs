/// Steps of a write. Tests end the process, or let somebody else in, behind each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Locked,
    Begun,
    Created,
    Written,
    Synced,
    Announced,
    Placed,
    Removed,
    FolderSynced,
}

#[cfg(not(test))]
pub(crate) fn reached(_: Step) {}

#[cfg(all(test, unix))]
pub(crate) use tests::during;
#[cfg(test)]
pub(crate) use tests::reached;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::Step;

    type Hook = Box<dyn FnMut(Step)>;

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    }

    /// Calls `hook` at each step that this thread reaches during `work`.
    #[cfg(unix)]
    pub(crate) fn during<T>(hook: impl FnMut(Step) + 'static, work: impl FnOnce() -> T) -> T {
        HOOK.set(Some(Box::new(hook)));
        let result = work();
        HOOK.set(None);
        result
    }

    pub(crate) fn reached(step: Step) {
        HOOK.with_borrow_mut(|hook| {
            if let Some(hook) = hook {
                hook(step);
            }
        });
    }
}
