//! Random programs.

use proptest::prelude::*;

use crate::history::{Call, State};

/// The keys that programs use.
pub(crate) const KEYS: [&str; 3] = ["hostname", "serverPublicKeyId", "url"];

/// A step of a program.
#[derive(Clone, Debug)]
pub(crate) enum ClientStep {
    /// A call that is awaited.
    Make(Call),
    /// Takes a snapshot, and saves it with this key set in a later step of the same client.
    Save(&'static str, String),
    /// Opens another handle, and continues with it.
    Reopen,
    /// A call that is dropped after this many polls, unless it has completed.
    Drop(Call, u8),
}

/// The clients' concurrent calls, the seed of their faults, and the stores of a foreign writer.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) clients: Vec<Vec<ClientStep>>,
    /// True if the second client starts with a clone of the first one's handle.
    pub(crate) shared: bool,
    pub(crate) foreign: Vec<State>,
    pub(crate) seed: u64,
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(KEYS.as_slice())
}

/// Few values, so that clients often set equal values, and sets often change nothing.
fn value() -> impl Strategy<Value = String> {
    (0..3_u8).prop_map(|value| value.to_string())
}

fn document() -> impl Strategy<Value = State> {
    prop::collection::btree_map(key(), value(), 0..=2)
}

/// Calls that interfere with each other.
fn write() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => key().prop_map(Call::Increment),
        2 => (key(), key()).prop_filter("two keys", |(one, other)| one != other)
            .prop_map(|(one, other)| Call::Swap(one, other)),
        3 => (key(), value()).prop_map(|(key, value)| Call::Set(key, value)),
        2 => key().prop_map(Call::Delete),
        1 => Just(Call::DeleteAll),
        1 => document().prop_map(Call::Replace),
        1 => key().prop_map(Call::Refuse),
        1 => key().prop_map(Call::Panic),
    ]
}

/// Every call that needs only a handle.
fn call() -> impl Strategy<Value = Call> {
    prop_oneof![5 => write(), 2 => Just(Call::Refresh), 2 => Just(Call::Get)]
}

fn step() -> impl Strategy<Value = ClientStep> {
    prop_oneof![
        14 => call().prop_map(ClientStep::Make),
        1 => (key(), value()).prop_map(|(key, value)| ClientStep::Save(key, value)),
        1 => Just(ClientStep::Reopen),
        1 => (write(), 1..12_u8).prop_map(|(call, polls)| ClientStep::Drop(call, polls)),
    ]
}

/// The calls of one client, each awaited.
pub(crate) fn calls(most: usize) -> impl Strategy<Value = Vec<Call>> {
    prop::collection::vec(call(), 1..=most)
}

/// The concurrent calls of two to four clients, and of a foreign writer if requested.
pub(crate) fn program(most: usize, foreign: usize) -> impl Strategy<Value = Program> {
    let clients = prop::collection::vec(prop::collection::vec(step(), 1..=most), 2..=4);
    let foreign = prop::collection::vec(document(), foreign.min(1)..=foreign);
    (clients, any::<bool>(), foreign, any::<u64>()).prop_map(|(clients, shared, foreign, seed)| Program {
        clients,
        shared,
        foreign,
        seed,
    })
}
