//! The cases. Each is an `async fn` whose name begins with its clause, and whose error describes the fault found. The
//! lists below register them.

mod bounds;
mod concurrent;
mod conditional;
mod conditions;
mod foreign;
mod leaks;
mod lifetimes;
mod opening;
mod reading;
mod secrets;
mod whole;
mod writing;

use crate::{
    Clause,
    case::{Case, Level},
};

/// Calls `$callback!` with `$context` and every case that calls the backend directly.
#[doc(hidden)]
#[macro_export]
macro_rules! backend_cases {
    ($callback:path, $context:tt) => {
        $callback! { $context
            C1 reads opening::c01_a_store_with_nothing_in_it_loads_as_nothing,
            C1 reads opening::c01_what_is_stored_is_loaded_byte_for_byte,
            C2 writes lifetimes::c02_only_current_version_is_confirmed,
            C3 writes writing::c03_an_acknowledged_store_is_there,
            C4 writes writing::c04_a_store_that_is_not_acknowledged_changes_nothing,
            C6 writes conditional::c06_one_store_per_version_is_committed,
            C6 writes conditional::c06_equal_payloads_do_not_both_win,
            C6 writes conditional::c06_racing_stores_have_one_winner,
            C6 writes conditional::c06_a_version_does_not_come_back_with_its_content,
            C6 writes lifetimes::c06_emptied_store_has_new_versions,
            C6 writes lifetimes::c06_recreated_store_has_new_versions,
            C6 writes lifetimes::c06_absence_is_used_once,
            C7 writes foreign::c07_a_foreign_write_before_the_load_is_respected,
            C7 writes foreign::c07_an_exact_backend_excludes_foreign_writers,
            C9 writes writing::c09_a_payload_is_stored_whole,
            C9 writes whole::c09_dropped_store_is_whole,
            C9 writes whole::c09_loads_during_stores_are_whole,
            C12 reads opening::c12_a_load_creates_nothing,
            C12 writes lifetimes::c12_conflict_creates_nothing,
            C12 writes lifetimes::c12_removed_store_stays_removed,
            C13 reads secrets::c13_the_backend_shows_no_payload,
            C14 reads bounds::c14_a_load_ends,
            C14 writes bounds::c14_a_store_ends,
            C15 writes bounds::c15_the_largest_payload_is_stored,
        }
    };
}

/// Calls `$callback!` with `$context` and every case that calls the backend directly while the store fails.
#[doc(hidden)]
#[macro_export]
macro_rules! condition_cases {
    ($callback:path, $context:tt) => {
        $callback! { $context
            C1 reads conditions::c01_unreadable_is_not_absent,
            C1 reads conditions::c01_refused_is_not_absent,
            C1 reads conditions::c01_unreachable_is_not_absent,
            C1 reads conditions::c01_silent_is_not_absent,
            C1 reads conditions::c01_cut_reply_is_not_absent,
            C4 writes conditions::c04_refused_store_claims_truth,
            C4 writes conditions::c04_silent_store_claims_truth,
            C4 writes conditions::c04_cut_reply_claims_truth,
            C4 writes conditions::c04_one_cut_reply_claims_truth,
            C4 writes conditions::c04_garbled_reply_claims_truth,
            C4 writes conditions::c04_held_request_claims_truth,
            C4 writes conditions::c04_full_store_claims_truth,
            C9 writes conditions::c09_cut_request_stores_nothing_half,
            C14 writes conditions::c14_silence_ends_calls,
            C14 writes conditions::c14_slowness_ends_calls,
            C14 writes conditions::c14_refusal_ends_calls,
            C14 writes conditions::c14_unreachable_ends_calls,
            C13 writes leaks::c13_failures_show_no_secret,
        }
    };
}

/// Calls `$callback!` with `$context` and every case that uses a storage handle.
#[doc(hidden)]
#[macro_export]
macro_rules! core_cases {
    ($callback:path, $context:tt) => {
        $callback! { $context
            C1 reads opening::c01_opening_loads_once,
            C1 reads opening::c01_a_store_with_nothing_in_it_is_not_found,
            C1 reads opening::c01_an_empty_object_is_an_empty_document,
            C1 reads opening::c01_what_is_no_document_is_refused_unquoted,
            C1 reads opening::c01_a_failed_load_stays_an_error,
            C2 writes reading::c02_reads_do_no_io_and_wait_for_nobody,
            C2 reads reading::c02_a_refresh_is_as_new_as_its_call,
            C2 writes reading::c02_a_stale_load_is_read_again,
            C2 writes reading::c02_an_unconfirmed_rollback_is_not_believed,
            C2 writes reading::c02_a_confirmed_rollback_is_believed,
            C3 writes writing::c03_an_acknowledged_write_is_seen_by_a_fresh_open,
            C3 writes writing::c03_a_failed_store_is_not_acknowledged,
            C4 writes writing::c04_a_refused_change_leaves_no_trace,
            C4 writes writing::c04_a_failed_write_leaves_store_and_snapshot,
            C4 reads reading::c04_a_failed_refresh_leaves_the_snapshot,
            C5 writes writing::c05_every_commit_begins_with_a_load,
            C6 writes conditional::c06_save_needs_its_base_to_be_current,
            C6 writes conditional::c06_a_deleted_key_stays_deleted,
            C6 writes concurrent::c06_a_change_is_applied_once,
            C6 writes concurrent::c06_increments_through_eight_handles_all_count,
            C6 writes concurrent::c06_programs_match_a_plain_map,
            C6 writes concurrent::c06_histories_are_linearizable,
            C6 writes concurrent::c06_histories_with_faults_are_linearizable,
            C7 writes foreign::c07_a_displaced_version_is_reported,
            C7 writes concurrent::c07_histories_with_a_foreign_writer_are_linearizable,
            C7 writes foreign::c07_an_unverified_write_is_good,
            C8 writes writing::c08_what_changes_nothing_stores_nothing,
            C8 writes writing::c08_no_result_comes_from_the_snapshot_alone,
            C8 writes writing::c08_a_stale_load_ends_no_write,
            C9 writes bounds::c09_an_unknown_write_is_made_at_most_once,
            C9 writes bounds::c09_a_dropped_write_is_made_at_most_once,
            C10 writes writing::c10_unknown_keys_and_values_survive,
            C11 writes writing::c11_delete_all_stores_an_empty_object,
            C12 reads opening::c12_opening_creates_nothing,
            C12 writes opening::c12_open_or_create_creates_once,
            C13 writes secrets::c13_nothing_shows_a_value,
            C14 writes bounds::c14_a_hanging_store_ends_at_the_deadline,
            C14 reads bounds::c14_a_hanging_load_ends_at_the_deadline,
            C14 writes bounds::c14_endless_conflict_ends,
            C15 writes bounds::c15_a_read_only_handle_makes_no_call,
            C15 writes bounds::c15_what_is_too_large_is_not_sent,
        }
    };
}

macro_rules! collect {
    (($level:ident, $list:ident) $($clause:ident $kind:ident $module:ident::$name:ident,)*) => {
        $list.extend([$(Case {
            name: stringify!($name),
            clause: Clause::$clause,
            level: Level::$level,
            writes: collect!(@ $kind),
            run: |sut| Box::pin($module::$name(sut)),
        },)*]);
    };
    (@ writes) => { true };
    (@ reads) => { false };
}

/// Every case of the suite.
pub fn cases() -> Vec<Case> {
    let mut list = Vec::new();
    backend_cases!(collect, (Backend, list));
    condition_cases!(collect, (Backend, list));
    core_cases!(collect, (Core, list));
    list
}
