//! Random programs.

use proptest::prelude::*;

use crate::history::Call;

/// The keys that programs work on.
pub(crate) const KEYS: [&str; 3] = ["hostname", "serverPublicKeyId", "url"];

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(KEYS.as_slice())
}

/// Calls that get in each other's way: few keys, few values, so that equal values, sets that change nothing and deletes
/// of absent keys are frequent.
fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => key().prop_map(Call::Increment),
        3 => (key(), 0..3_u8).prop_map(|(key, value)| Call::Set(key, value.to_string())),
        2 => key().prop_map(Call::Delete),
        1 => Just(Call::DeleteAll),
        1 => key().prop_map(Call::Refuse),
        3 => Just(Call::Refresh),
    ]
}

/// What one client does.
pub(crate) fn program(calls: usize) -> impl Strategy<Value = Vec<Call>> {
    prop::collection::vec(call(), 1..=calls)
}

/// What two to four clients do at the same time.
pub(crate) fn programs(calls: usize) -> impl Strategy<Value = Vec<Vec<Call>>> {
    prop::collection::vec(program(calls), 2..=4)
}
