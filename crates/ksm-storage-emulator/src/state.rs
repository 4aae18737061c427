//! The secrets of a region, and what a test does to them past the API.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Break, Fault, Secret,
    secret::{CURRENT, MAX_VALUE, PREVIOUS, Record, Refusal, Value, Version},
};
use ksm_storage_aws::Select;

const ACCOUNT: &str = "123456789012";

/// The operations of the API, as IAM names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "they are the service's names")]
pub enum Action {
    CreateSecret,
    DeleteSecret,
    DescribeSecret,
    GetSecretValue,
    PutSecretValue,
    RestoreSecret,
    UpdateSecretVersionStage,
}

/// The secrets of one region. Clones share them.
#[derive(Clone)]
pub struct Emulator {
    region: Arc<str>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) secrets: Vec<Record>,
    /// Time since the start, moved by hand.
    pub(super) now: Duration,
    quota_lifted: bool,
    denied: BTreeMap<Action, &'static str>,
    calls: BTreeMap<Action, usize>,
    faults: BTreeMap<Action, VecDeque<Fault>>,
    chaos: Option<(fastrand::Rng, u8)>,
    stale_reads: u32,
    serial: u64,
}

/// The full ARN of a secret, and what one call saw of it.
pub(crate) struct Seen {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) version: Version,
}

impl Emulator {
    /// An empty region.
    pub fn new(region: impl Into<Arc<str>>) -> Self {
        Self { region: region.into(), state: Arc::default() }
    }

    /// The region's name.
    pub fn region(&self) -> &str {
        &self.region
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the action has been called.
    pub fn calls(&self, action: Action) -> usize {
        self.lock().calls.get(&action).copied().unwrap_or_default()
    }

    /// The next calls of the action get these faults, in this order.
    pub fn fail(&self, action: Action, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.entry(action).or_default().extend(faults);
    }

    /// From now on each call is broken off with this probability, in percent, before or after it is carried out. One
    /// seed gives one sequence.
    pub fn chaos(&self, seed: u64, percent: u8) {
        self.lock().chaos = (percent > 0).then(|| (fastrand::Rng::with_seed(seed), percent));
    }

    /// Refuses the action from now on, with this code: `AccessDeniedException`, or for want of the key
    /// `DecryptionFailure` or `EncryptionFailure`.
    pub fn deny(&self, action: Action, code: &'static str) {
        self.lock().denied.insert(action, code);
    }

    /// Grants everything again.
    pub fn allow_all(&self) {
        self.lock().denied.clear();
    }

    /// The next reads of `AWSCURRENT` return the version before it, as reads that are not strongly consistent may.
    pub fn read_stale(&self, reads: u32) {
        self.lock().stale_reads = reads;
    }

    /// Lets time pass: versions grow old.
    pub fn advance(&self, time: Duration) {
        self.lock().now += time;
    }

    /// Lets a secret have any number of young versions.
    pub fn lift_version_quota(&self) {
        self.lock().quota_lifted = true;
    }

    /// A secret to be looked at and changed past the API. It need not exist yet.
    pub fn secret(&self, name: impl Into<String>) -> Secret {
        Secret::new(self.clone(), name.into())
    }

    /// Counts the call, and says what is to go wrong with it.
    pub(crate) fn begin(&self, action: Action) -> Option<Fault> {
        let mut state = self.lock();
        *state.calls.entry(action).or_default() += 1;
        if let Some(fault) = state.faults.get_mut(&action).and_then(VecDeque::pop_front) {
            return Some(fault);
        }
        let (rng, percent) = state.chaos.as_mut()?;
        if rng.u8(..100) >= *percent {
            return None;
        }
        let how = Break::ALL[rng.usize(..Break::ALL.len())];
        Some(if rng.bool() { Fault::Before(how) } else { Fault::After(how) })
    }

    fn permit(state: &State, action: Action) -> Result<(), Refusal> {
        match state.denied.get(&action) {
            Some(code) => Err(Refusal::new(code, format!("not allowed: secretsmanager:{action:?}"))),
            None => Ok(()),
        }
    }

    pub(crate) fn get(&self, id: &str, select: &Select) -> Result<Seen, Refusal> {
        let mut state = self.lock();
        Self::permit(&state, Action::GetSecretValue)?;
        let lags = *select == Select::Current && state.stale_reads > 0;
        if lags {
            state.stale_reads -= 1;
        }
        let secret = state.find(id)?;
        secret.usable()?;
        let version = match select {
            Select::Current if lags => secret.labelled(PREVIOUS).or_else(|| secret.labelled(CURRENT)),
            Select::Current => secret.labelled(CURRENT),
            Select::Previous => secret.labelled(PREVIOUS),
            Select::Label(label) => secret.labelled(label),
            Select::Id(id) => secret.version(id),
        };
        let missing = "Secrets Manager can't find the specified secret value for staging label or version.";
        let version = version.ok_or_else(|| Refusal::new("ResourceNotFoundException", missing))?;
        Ok(Seen { arn: secret.arn.clone(), name: secret.name.clone(), version: version.clone() })
    }

    pub(crate) fn put(
        &self,
        id: &str,
        token: &str,
        value: Value,
        labels: &[String],
    ) -> Result<Seen, Refusal> {
        check_token(token)?;
        check_value(&value)?;
        let mut state = self.lock();
        Self::permit(&state, Action::PutSecretValue)?;
        let (now, quota) = (state.now, !state.quota_lifted);
        let secret = state.find_mut(id)?;
        secret.usable()?;
        secret.writable()?;
        secret.put(token, value, labels, now, quota)?;
        let missing = || Refusal::new("InternalServiceError", "the version is not there");
        let version = secret.version(token).cloned().ok_or_else(missing)?;
        Ok(Seen { arn: secret.arn.clone(), name: secret.name.clone(), version })
    }

    pub(crate) fn create(
        &self,
        name: &str,
        token: &str,
        value: Option<Value>,
        kms_key_id: Option<&str>,
    ) -> Result<(String, Option<String>), Refusal> {
        check_token(token)?;
        if let Some(value) = &value {
            check_value(value)?;
        }
        let mut state = self.lock();
        Self::permit(&state, Action::CreateSecret)?;
        if let Some(secret) = state.secrets.iter().find(|secret| secret.name == name) {
            secret.usable()?;
            // Repeated with its token and value, the call succeeds:
            // https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
            if let (Some(version), Some(value)) = (secret.version(token), &value)
                && version.value == *value
            {
                return Ok((secret.arn.clone(), Some(token.to_owned())));
            }
            let message = format!("The operation failed because the secret {name} already exists.");
            return Err(Refusal::new("ResourceExistsException", message));
        }
        let arn = state.new_arn(&self.region, name);
        let mut secret = Record::new(name, arn.clone());
        secret.kms_key_id = kms_key_id.map(str::to_owned);
        let id = match value {
            Some(value) => {
                secret.put(token, value, &[], state.now, false)?;
                Some(token.to_owned())
            }
            None => None,
        };
        state.secrets.push(secret);
        Ok((arn, id))
    }

    pub(crate) fn move_label(
        &self,
        id: &str,
        label: &str,
        to: Option<&str>,
        from: Option<&str>,
    ) -> Result<(String, String), Refusal> {
        let mut state = self.lock();
        Self::permit(&state, Action::UpdateSecretVersionStage)?;
        let secret = state.find_mut(id)?;
        secret.usable()?;
        secret.writable()?;
        secret.move_label(label, to, from)?;
        Ok((secret.arn.clone(), secret.name.clone()))
    }

    pub(crate) fn describe(&self, id: &str) -> Result<Record, Refusal> {
        let state = self.lock();
        Self::permit(&state, Action::DescribeSecret)?;
        state.find(id).cloned()
    }

    /// `DeleteSecret` and `RestoreSecret`: marks the secret, or takes the mark away, or forgets it at once.
    pub(crate) fn delete(&self, id: &str, how: Deletion) -> Result<(String, String), Refusal> {
        let action = if how == Deletion::Restore { Action::RestoreSecret } else { Action::DeleteSecret };
        let mut state = self.lock();
        Self::permit(&state, action)?;
        let secret = state.find_mut(id)?;
        let seen = (secret.arn.clone(), secret.name.clone());
        secret.marked_for_deletion = how == Deletion::Recoverable;
        if how == Deletion::AtOnce {
            state.secrets.retain(|secret| secret.arn != seen.0);
        }
        Ok(seen)
    }
}

/// What `DeleteSecret` and `RestoreSecret` do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deletion {
    Recoverable,
    AtOnce,
    Restore,
}

impl Record {
    /// Until it is restored:
    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html>
    fn usable(&self) -> Result<(), Refusal> {
        if self.marked_for_deletion {
            let message =
                "You can't perform this operation on the secret because it was marked for deletion.";
            return Err(Refusal::new("InvalidRequestException", message));
        }
        Ok(())
    }

    /// A replica can be read, and is changed by its primary only:
    /// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/replicate-secrets.html>
    fn writable(&self) -> Result<(), Refusal> {
        if self.primary_region.is_some() {
            let message =
                "Operation not permitted on a replica secret. Call must be made in primary secret's region.";
            return Err(Refusal::new("InvalidParameterException", message));
        }
        Ok(())
    }
}

impl State {
    /// By name, full ARN, or ARN without the suffix:
    /// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen>
    fn position(&self, id: &str) -> Result<usize, Refusal> {
        let is = |secret: &Record| {
            secret.name == id
                || secret.arn == id
                || (id.starts_with("arn:") && secret.arn.len() == id.len() + 7 && secret.arn.starts_with(id))
        };
        let missing = "Secrets Manager can't find the specified secret.";
        self.secrets.iter().position(is).ok_or_else(|| Refusal::new("ResourceNotFoundException", missing))
    }

    pub(super) fn find(&self, id: &str) -> Result<&Record, Refusal> {
        self.position(id).map(|at| &self.secrets[at])
    }

    pub(super) fn find_mut(&mut self, id: &str) -> Result<&mut Record, Refusal> {
        self.position(id).map(|at| &mut self.secrets[at])
    }

    pub(super) fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// With a suffix that no other secret of this emulator has had.
    pub(super) fn new_arn(&mut self, region: &str, name: &str) -> String {
        let partition = match region {
            _ if region.starts_with("cn-") => "aws-cn",
            _ if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let serial = self.next();
        format!("arn:{partition}:secretsmanager:{region}:{ACCOUNT}:secret:{name}-E{serial:05}")
    }
}

/// "Length Constraints: Minimum length of 32. Maximum length of 64.", and no pattern:
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html>
fn check_token(token: &str) -> Result<(), Refusal> {
    if (32..=64).contains(&token.len()) {
        return Ok(());
    }
    let message = "ClientRequestToken must be 32-64 characters long.";
    Err(Refusal::new("InvalidParameterException", message))
}

/// From 1 to 65,536 bytes (same page).
fn check_value(value: &Value) -> Result<(), Refusal> {
    if (1..=MAX_VALUE).contains(&value.payload().len()) {
        return Ok(());
    }
    Err(Refusal::new("InvalidParameterException", "The secret value must be 1 to 65536 bytes long."))
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("region", &self.region).finish_non_exhaustive()
    }
}
