//! Access to a secret without the API, for tests.

use std::collections::BTreeSet;

use ksm_storage_core::Payload;

use super::{
    Value,
    secret::{CURRENT, DAY, Record, Replica},
};
use crate::Emulator;

/// A secret of an [`Emulator`], accessed without the API: no permissions, faults or call counts apply.
#[derive(Clone, Debug)]
pub struct Secret {
    emulator: Emulator,
    name: String,
}

impl Secret {
    pub(crate) fn new(emulator: Emulator, name: String) -> Self {
        Self { emulator, name }
    }

    /// Creates the secret without a value, unless it exists.
    pub fn create(&self) -> &Self {
        let mut state = self.emulator.lock();
        if state.find(&self.name).is_err() {
            let arn = state.new_arn(self.emulator.region(), &self.name);
            let now = state.clock.now();
            state.secrets.push(Record::new(&self.name, arn, now));
        }
        drop(state);
        self
    }

    /// Stores a value unconditionally, as a foreign program would, and returns the version ID. Creates the secret if it
    /// does not exist.
    pub fn overwrite(&self, value: Value) -> String {
        self.create();
        let mut state = self.emulator.lock();
        let id = format!("00000000-0000-0000-0000-{:012}", state.next());
        let now = state.clock.now();
        if let Ok(secret) = state.find_mut(&self.name) {
            // Could fail only on a quota, which is not checked here, or on a known ID, which this is not.
            let _ = secret.put(&id, value, &[], now, None);
        }
        id
    }

    /// Moves `AWSCURRENT` to an earlier version. Returns `false` if there is none with this ID.
    pub fn roll_back(&self, version: &str) -> bool {
        let mut state = self.emulator.lock();
        state.find_mut(&self.name).is_ok_and(|secret| {
            let current = secret.labelled(CURRENT).map(|version| version.id.clone());
            secret.move_label(CURRENT, Some(version), current.as_deref()).is_ok()
        })
    }

    /// Removes the secret without a trace.
    pub fn remove(&self) {
        self.emulator.lock().secrets.retain(|secret| secret.name != self.name);
    }

    /// Marks the secret for deletion in 30 days.
    pub fn mark_for_deletion(&self) {
        let date = self.emulator.lock().clock.now().saturating_add(30 * DAY);
        self.change(|secret| secret.deletion = Some(date));
    }

    /// Makes the secret a replica of one in `region`, which need not exist: nothing is replicated.
    pub fn replicate_from(&self, region: &str) {
        self.change(|secret| secret.primary_region = Some(region.to_owned()));
    }

    /// Replicates the secret to another region of the account, which must have been [added](Emulator::add_region).
    pub fn replicate_to(&self, region: &str) {
        let replica = Replica { region: region.to_owned(), kms_key_id: None };
        self.change(|secret| secret.replicas.push(replica));
        self.emulator.create_replicas();
    }

    fn change(&self, change: impl FnOnce(&mut Record)) {
        if let Ok(secret) = self.emulator.lock().find_mut(&self.name) {
            change(secret);
        }
    }

    /// The full ARN, if the secret exists.
    pub fn arn(&self) -> Option<String> {
        self.emulator.lock().find(&self.name).ok().map(|secret| secret.arn.clone())
    }

    /// The value of the version with this label.
    pub fn value(&self, label: &str) -> Option<Payload> {
        let state = self.emulator.lock();
        state.find(&self.name).ok()?.labelled(label).map(|version| version.value.payload().clone())
    }

    /// All versions in the order in which they were stored, each with its ID and labels.
    pub fn versions(&self) -> Vec<(String, BTreeSet<String>)> {
        let state = self.emulator.lock();
        let versions = state.find(&self.name).map(|secret| secret.versions.clone()).unwrap_or_default();
        versions.into_iter().map(|version| (version.id, version.labels)).collect()
    }
}
