//! Threads of their own, for code that may never return.

use std::{future::Future, io, pin::pin, sync::Arc, thread};

use futures_util::future::{Either, select};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot},
};

/// Runs code in a thread of its own, which may never end. Once this future is dropped, neither a runtime nor the end of
/// the process waits for that thread.
pub(crate) async fn in_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, result) = oneshot::channel();
    let work = move || {
        // The call that waits for it may have ended.
        let _ = sender.send(work());
    };
    thread::Builder::new().name("ksm-storage-blocking".to_owned()).spawn(work)?;
    result.await.map_err(|_| io::ErrorKind::Other.into())
}

/// The only thread that waits for a source that may block. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SingleThread(Arc<Semaphore>);

impl Default for SingleThread {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl SingleThread {
    /// Polls a future in this thread, once the future before it has ended. The future can use the runtime of this call.
    /// It is dropped together with this one, unless it blocks.
    pub(crate) async fn poll<F>(&self, future: F) -> io::Result<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let only = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
        let runtime = Handle::try_current().map_err(|_| io::ErrorKind::Unsupported)?;
        let (_dropped_with_this, dropped) = oneshot::channel::<()>();
        let ended = in_thread(move || {
            let _only = only;
            runtime.block_on(async {
                match select(dropped, pin!(future)).await {
                    Either::Left(_) => None,
                    Either::Right((output, _)) => Some(output),
                }
            })
        });
        ended.await?.ok_or_else(|| io::ErrorKind::Other.into())
    }
}
