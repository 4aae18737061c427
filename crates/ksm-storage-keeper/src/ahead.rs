//! The connection that is opened ahead of the first request.
//!
//! The SDK computes for milliseconds before it sends its first request: it reads root certificates for file downloads,
//! and encrypts. Meanwhile, this connects.

use std::{
    any::Any,
    future::{Future, ready},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{task::JoinHandle, time::sleep};
use tower_layer::Layer;
use tower_service::Service;

use crate::panics;

/// The time for which a connection without a request is trusted to be open.
const LIFETIME: Duration = Duration::from_secs(3);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A layer around the connector of an HTTP client.
#[derive(Clone, Default)]
pub(crate) struct Ahead(Arc<Mutex<Step>>);

#[derive(Default)]
enum Step {
    /// Requests connect by themselves.
    #[default]
    Off,
    /// The next request only begins the connection, and fails without having been sent.
    Begin,
    /// The next request takes over the connection: a `JoinHandle` of the connector's result, whose type is private to
    /// the HTTP client.
    Begun(Box<dyn Any + Send>),
}

impl Ahead {
    /// Begins the connection by means of a request that fails.
    pub(crate) fn begin(&self, request: impl FnOnce()) {
        *self.step() = Step::Begin;
        // The request that needs the connection reports what is wrong.
        let _ = panics::catch(request);
        let mut step = self.step();
        if matches!(*step, Step::Begin) {
            // The request has not got as far as the connector.
            *step = Step::Off;
        }
    }

    /// Gives up the connection, because it is old or leads to another host.
    pub(crate) fn discard(&self) {
        *self.step() = Step::Off;
    }

    fn step(&self) -> MutexGuard<'_, Step> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Layer<S> for Ahead {
    type Service = Connector<S>;

    fn layer(&self, inner: S) -> Connector<S> {
        Connector { inner, ahead: self.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct Connector<S> {
    inner: S,
    ahead: Ahead,
}

impl<S, To> Service<To> for Connector<S>
where
    S: Service<To, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
    To: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, to: To) -> Self::Future {
        let step = std::mem::take(&mut *self.ahead.step());
        match step {
            Step::Off => Box::pin(self.inner.call(to)),
            Step::Begin => {
                let begun = tokio::spawn(self.inner.call(to));
                *self.ahead.step() = Step::Begun(Box::new(begun));
                let ahead = self.ahead.clone();
                tokio::spawn(async move {
                    sleep(LIFETIME).await;
                    ahead.discard();
                });
                Box::pin(ready(Err("connecting ahead".into())))
            }
            Step::Begun(begun) => {
                // This service is ready; its clone may not be.
                let clone = self.inner.clone();
                let mut inner = std::mem::replace(&mut self.inner, clone);
                let begun = begun.downcast::<JoinHandle<Result<S::Response, BoxError>>>();
                Box::pin(async move {
                    if let Ok(begun) = begun
                        && let Ok(Ok(connection)) = begun.await
                    {
                        return Ok(connection);
                    }
                    // A failure is reported by the attempt that belongs to the request.
                    inner.call(to).await
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with the number of its call, unless that is in `fails`.
    #[derive(Clone, Default)]
    struct Numbered {
        calls: Arc<Mutex<usize>>,
        fails: &'static [usize],
    }

    impl Service<()> for Numbered {
        type Response = usize;
        type Error = BoxError;
        type Future = std::future::Ready<Result<usize, BoxError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            ready(if self.fails.contains(&calls) { Err("refused".into()) } else { Ok(*calls) })
        }
    }

    async fn begin(ahead: &Ahead, connector: &mut Connector<Numbered>) {
        let mut first = None;
        ahead.begin(|| first = Some(connector.call(())));
        assert_eq!(first.unwrap().await.unwrap_err().to_string(), "connecting ahead");
    }

    #[tokio::test]
    async fn second_call_takes_over() {
        let ahead = Ahead::default();
        let mut connector = ahead.layer(Numbered::default());
        begin(&ahead, &mut connector).await;
        assert_eq!(connector.clone().call(()).await.unwrap(), 1);
        assert_eq!(connector.call(()).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn failed_connection_is_repeated() {
        let ahead = Ahead::default();
        let mut connector = ahead.layer(Numbered { fails: &[1, 3], ..Numbered::default() });
        begin(&ahead, &mut connector).await;
        assert_eq!(connector.call(()).await.unwrap(), 2);
        assert_eq!(connector.call(()).await.unwrap_err().to_string(), "refused");
    }

    #[tokio::test]
    async fn request_that_never_connects_is_harmless() {
        let ahead = Ahead::default();
        ahead.begin(|| ());
        assert_eq!(ahead.layer(Numbered::default()).call(()).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn panic_of_the_request_is_harmless() {
        let ahead = Ahead::default();
        ahead.begin(|| panic!("planned"));
        assert_eq!(ahead.layer(Numbered::default()).call(()).await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn unused_connection_is_closed() {
        let ahead = Ahead::default();
        let mut connector = ahead.layer(Numbered::default());
        begin(&ahead, &mut connector).await;
        sleep(LIFETIME * 2).await;
        assert!(matches!(*ahead.step(), Step::Off));
        assert_eq!(connector.call(()).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn another_host_discards_it() {
        let ahead = Ahead::default();
        let mut connector = ahead.layer(Numbered::default());
        begin(&ahead, &mut connector).await;
        ahead.discard();
        assert_eq!(connector.call(()).await.unwrap(), 2);
    }
}
