//! A conditional write: performs the requests of [`protocol`](crate::protocol), and turns its verdict into a result.

use std::{pin::pin, sync::atomic::Ordering, time::Duration};

use futures_util::future::{Either, select};
use ksm_storage_core::{
    Displaced, Error, ErrorKind, Outcome, Payload, Result, StoreOutcome, Stored, Version, append_nonce,
    shell_word, strip_nonce,
};

use crate::{
    Concurrency,
    backend::{Creation, Inner, put_patience},
    client::{CallError, Create, MAX_VALUE, MoveCurrent, Put, SecretVersion, Select},
    error::{Call, classify},
    events::Event,
    protocol::{
        Answer, Author, Displacement, Finding, Labels, Mode, Placement, Progress, Reason, Request, Store,
        Verdict, VersionId,
    },
    replies::{author, labels, seen},
    slot::{self, NO_VALUE},
    throttle::Throttle,
};

/// The label of staged versions. It is a single fixed label, because all versions together may have at most 20.
const STAGED: &str = "KSM_STAGED";
/// Maximum reads per store. A longer chain of versions is not walked to its end.
pub(crate) const MAX_READS: u32 = 256;
/// Time limit of the check after a write. A longer check could exceed the caller's deadline, and core would report a
/// valid write as unknown.
pub(crate) const CHECK_LIMIT: Duration = Duration::from_secs(2);
pub(crate) const CHECK_PAUSE: Duration = Duration::from_millis(50);

/// The calls of one store.
struct Session<'a> {
    inner: &'a Inner,
    expected: &'a Version,
    plain: Payload,
    staged: Payload,
    put_error: Option<CallError>,
    move_error: Option<CallError>,
    read_error: Option<CallError>,
    reads: u32,
    throttle: Throttle<'a>,
    /// The most recently read version.
    found: Option<SecretVersion>,
}

impl Inner {
    pub(crate) async fn store(&self, expected: &Version, payload: &Payload) -> Result<StoreOutcome> {
        let mut session = Session::new(self, expected, payload)?;
        if let Creation::IfMissing { kms_key_id } = &self.creation
            && expected.is_no_value()
            && let Some(version) = self.create(kms_key_id.clone(), &session.plain).await?
        {
            return Ok(StoreOutcome::committed(version));
        }
        let mut store = Store::new(expected.clone(), self.mode());
        loop {
            let answer = session.call(store.request(), store.placement).await?;
            match store.answer(answer) {
                Progress::Next(next) => store = next,
                Progress::Done(Verdict::NotApplied(Reason::Put)) if session.pause().await => {
                    // Writers share the quota, so another one may have made this store obsolete meanwhile.
                    if let Some(current) = session.replaced().await {
                        return Ok(StoreOutcome::conflict(current));
                    }
                    store = Store::new(expected.clone(), self.mode());
                }
                Progress::Done(verdict) => return session.conclude(verdict).await,
            }
        }
    }

    /// Creates the secret with its first version. Returns `None` if the secret exists by now.
    async fn create(&self, kms_key_id: Option<String>, value: &Payload) -> Result<Option<Version>> {
        let token = Version::new(NO_VALUE).slot(1);
        let create = Create {
            name: self.id.name().to_owned(),
            // The token of a first put, which this call thus excludes.
            token: token.as_str().to_owned(),
            value: value.clone(),
            kms_key_id,
        };
        let error = match self.client.create(&create).await {
            Ok(()) => {
                Event::Created { location: &self.location }.log();
                return Ok(Some(token));
            }
            Err(error) if error.is("ResourceExistsException") => return Ok(None),
            Err(error) => error,
        };
        if classify(&error).1 == Outcome::Unknown
            && let Ok(found) = self.get(Select::Id(token.as_str().to_owned())).await
        {
            return Ok((found.value == *value).then_some(token));
        }
        Err(self.failed(Call::Create, error))
    }

    fn mode(&self) -> Mode {
        match self.concurrency {
            Concurrency::Strict => Mode::Strict,
            Concurrency::Optimistic if self.move_denied.load(Ordering::Relaxed) => Mode::PutOnly,
            Concurrency::Optimistic => Mode::Optimistic,
        }
    }

    /// The nonce of a store, without its placement bit.
    pub(crate) fn nonce(&self) -> Result<u64> {
        getrandom::u64().map_err(|_| {
            self.error(ErrorKind::Unavailable, "the operating system provides no random numbers")
        })
    }

    /// The version that a plain put displaced. The write stays valid whatever the check finds.
    async fn displaced(&self, base: &Version, token: &Version) -> Displaced {
        let limit = self.clock.alarm(self.clock.now().saturating_add(CHECK_LIMIT));
        match select(pin!(self.check(base, token)), limit).await {
            Either::Left((displaced, _)) => displaced,
            Either::Right(_) => Displaced::Unverified,
        }
    }

    /// Repeats the check until it decides or cannot ever decide.
    async fn check(&self, base: &Version, token: &Version) -> Displaced {
        let mut pause = CHECK_PAUSE;
        loop {
            match self.check_once(base, token).await {
                Ok(Finding::Nothing) => return Displaced::Nothing,
                Ok(Finding::Displaced { version, author }) => return self.describe(version, author),
                Ok(Finding::Followed) => return Displaced::Unverified,
                Ok(Finding::Inconclusive) => {}
                Err(error) => match classify(&error).0 {
                    ErrorKind::Throttled | ErrorKind::Timeout | ErrorKind::Unavailable => {}
                    _ => return Displaced::Unverified,
                },
            }
            self.clock.sleep(pause).await;
            pause *= 2;
        }
    }

    async fn check_once(&self, base: &Version, token: &Version) -> Result<Finding<Version>, CallError> {
        let mut check = Displacement::new(base.clone(), token.clone());
        loop {
            let select = match check.request() {
                Request::Get(id) => Select::Id(id.as_str().to_owned()),
                _ => Select::Previous,
            };
            let answer = match self.get(select).await {
                Ok(found) => Answer::Found(seen(&found, author(&found.value))),
                Err(error) if error.is("ResourceNotFoundException") => Answer::Missing,
                Err(error) => return Err(error),
            };
            match check.answer(answer) {
                Progress::Next(next) => check = next,
                Progress::Done(finding) => return Ok(finding),
            }
        }
    }

    fn describe(&self, version: Version, author: Author) -> Displaced {
        let inspect = Some(format!(
            "aws secretsmanager get-secret-value --secret-id {} --version-id {}",
            shell_word(self.secret()),
            shell_word(version.as_str())
        ));
        match author {
            Author::Foreign => Displaced::Foreign { version, inspect },
            Author::Project(_) | Author::ThisStore => Displaced::Cooperative { version, inspect },
        }
    }
}

impl<'a> Session<'a> {
    fn new(inner: &'a Inner, expected: &'a Version, payload: &Payload) -> Result<Self> {
        if std::str::from_utf8(payload.as_bytes()).is_err() {
            return Err(inner.error(ErrorKind::InvalidArgument, "the payload is not UTF-8"));
        }
        let nonce = inner.nonce()?;
        let framed = |placement| append_nonce(payload, slot::nonce(nonce, placement));
        let (plain, staged) = (framed(Placement::Plain), framed(Placement::Staged));
        if plain.len() > MAX_VALUE {
            let message = format!(
                "the value would be {} bytes long; the service accepts at most {MAX_VALUE}",
                plain.len()
            );
            return Err(inner.error(ErrorKind::TooLarge, message));
        }
        Ok(Self {
            inner,
            expected,
            plain,
            staged,
            put_error: None,
            move_error: None,
            read_error: None,
            reads: 0,
            // Half of a load's limit, so that a load and a store fit in one deadline.
            throttle: Throttle::new(&*inner.clock, &inner.location, put_patience(inner.patience)),
            found: None,
        })
    }

    fn value(&self, placement: Placement) -> &Payload {
        match placement {
            Placement::Plain => &self.plain,
            Placement::Staged => &self.staged,
        }
    }

    async fn call(&mut self, request: Request<Version>, placement: Placement) -> Result<Answer<Version>> {
        match request {
            Request::Put { token, placement } => self.put(&token, placement).await,
            Request::Move { from, to } => Ok(self.move_current(&from, &to).await),
            Request::Get(id) => Ok(self.read(Select::Id(id.as_str().to_owned()), placement).await),
            Request::GetPrevious => Ok(self.read(Select::Previous, placement).await),
        }
    }

    async fn put(&mut self, token: &Version, placement: Placement) -> Result<Answer<Version>> {
        let put = Put {
            secret: self.inner.secret().to_owned(),
            token: token.as_str().to_owned(),
            value: self.value(placement).clone(),
            label: (placement == Placement::Staged).then_some(STAGED),
        };
        match self.inner.client.put(&put).await {
            Ok(reply) if reply.id == token.as_str() => Ok(Answer::Done(labels(&reply.labels))),
            Ok(_) => {
                let message = "the service stored the value under another version ID than the one given";
                Err(self.inner.error(ErrorKind::Unexpected, message).with_outcome(Outcome::Unknown))
            }
            Err(error) => Ok(self.put_error.insert(error).answer("ResourceExistsException")),
        }
    }

    /// Waits if the put was throttled and there is time left.
    async fn pause(&mut self) -> bool {
        match &self.put_error {
            Some(error) => self.throttle.pause(error).await,
            None => false,
        }
    }

    /// The current version, if it differs from the expected one.
    async fn replaced(&mut self) -> Option<Stored> {
        let found = self.get(Select::Current).await.ok()?;
        (found.id != self.expected.as_str())
            .then(|| Stored::present(Version::new(found.id), strip_nonce(found.value)))
    }

    async fn move_current(&mut self, from: &Version, to: &Version) -> Answer<Version> {
        let request = MoveCurrent {
            secret: self.inner.secret().to_owned(),
            to: to.as_str().to_owned(),
            from: from.as_str().to_owned(),
        };
        let Err(error) = self.inner.client.move_current(&request).await else {
            return Answer::Done(Labels::Current);
        };
        if classify(&error).0 == ErrorKind::AccessDenied {
            self.inner.move_denied.store(true, Ordering::Relaxed);
        }
        self.move_error.insert(error).answer("InvalidParameterException")
    }

    async fn get(&mut self, select: Select) -> Result<SecretVersion, CallError> {
        loop {
            match self.inner.get(select.clone()).await {
                Err(error) if self.throttle.pause(&error).await => {}
                result => return result,
            }
        }
    }

    async fn read(&mut self, select: Select, placement: Placement) -> Answer<Version> {
        self.reads += 1;
        if self.reads > MAX_READS {
            return Answer::Unanswered;
        }
        match self.get(select).await {
            Ok(found) => {
                let author = if found.value == *self.value(placement) {
                    Author::ThisStore
                } else {
                    author(&found.value)
                };
                let answer = Answer::Found(seen(&found, author));
                self.found = Some(found);
                answer
            }
            Err(error) if error.is("ResourceNotFoundException") => Answer::Missing,
            Err(error) => {
                self.read_error = Some(error);
                Answer::Unanswered
            }
        }
    }

    async fn conclude(mut self, verdict: Verdict<Version>) -> Result<StoreOutcome> {
        match verdict {
            Verdict::Committed { token, placement } => {
                self.inner.begin_chain(&token);
                let displaced = match placement {
                    Placement::Plain => self.inner.displaced(self.expected, &token).await,
                    Placement::Staged => Displaced::Nothing,
                };
                Ok(StoreOutcome::Committed { version: token, displaced })
            }
            Verdict::Conflict { current, abandoned } => {
                let found =
                    self.found.take().filter(|found| current.is_some_and(|id| id.as_str() == found.id));
                let current =
                    found.map(|found| Stored::present(Version::new(found.id), strip_nonce(found.value)));
                let applied_if = abandoned.map(|token| token.chain().collect()).unwrap_or_default();
                Ok(StoreOutcome::Conflict { current, applied_if })
            }
            Verdict::NotApplied(reason) => Err(self.error(reason).await.with_outcome(Outcome::NotApplied)),
            Verdict::Unknown(reason) => Err(self.error(reason).await.with_outcome(Outcome::Unknown)),
        }
    }

    async fn error(&mut self, reason: Reason) -> Error {
        let inner = self.inner;
        match reason {
            Reason::Put => match self.put_error.take() {
                Some(error) if error.is("ResourceExistsException") => inner.error(
                    ErrorKind::Unavailable,
                    "the service reports that the version exists, but cannot find it",
                ),
                Some(error) => inner.put_refused(error).await,
                None => inner.error(ErrorKind::Unexpected, "the put failed"),
            },
            Reason::Move if self.is_denied_recovery() => self.pending(),
            Reason::Move => match self.move_error.take() {
                Some(error) => inner.failed(Call::Move, error),
                None => inner.error(ErrorKind::Unexpected, "the move failed"),
            },
            Reason::Read => match self.read_error.take() {
                Some(error) => inner.failed(Call::Get, error),
                None => inner.error(ErrorKind::Conflict, "the chain of versions is too long to follow"),
            },
            Reason::MoveRefused => inner.error(
                ErrorKind::Conflict,
                "AWSCURRENT was moved meanwhile, and the labels do not show whether this version ever had it",
            ),
            Reason::FirstValue => inner.error(ErrorKind::Conflict, "another program stored the first value"),
            Reason::Pending => self.pending(),
            Reason::NoSlotLeft => inner
                .error(
                    ErrorKind::Conflict,
                    format!(
                        "all {} successors of the current version are in use, after rollbacks to it or by writers that \
                         could not move AWSCURRENT",
                        Version::SLOTS
                    ),
                )
                .with_hint(
                    "with strict concurrency, grant secretsmanager:UpdateSecretVersionStage; store the value once more \
                     by hand (aws secretsmanager put-secret-value), then try again",
                ),
        }
    }

    /// True if an optimistic writer was denied the move that would have safely passed a pending version.
    fn is_denied_recovery(&self) -> bool {
        let denied = |error: &CallError| classify(error).0 == ErrorKind::AccessDenied;
        self.inner.concurrency == Concurrency::Optimistic && self.move_error.as_ref().is_some_and(denied)
    }

    fn pending(&self) -> Error {
        self.inner
            .error(
                ErrorKind::Conflict,
                "a version staged by another writer blocks this write, and may still become current",
            )
            .with_hint(
                "grant secretsmanager:UpdateSecretVersionStage to this role, then reopen the storage; or write once with \
                 strict concurrency, or store the value once more by hand (aws secretsmanager put-secret-value)",
            )
    }
}
