//! The contract of the file backend.
#![allow(missing_docs)]

use ksm_storage_file::{Durability, testing::FileFixture};
use ksm_storage_testkit::{SystemUnderTest, cases, conformance_tests};

/// Cases with thousands of writes, which take minutes where a sync takes as long as on a spinning disk.
const HISTORIES: [&str; 3] = [
    "c06_histories_are_linearizable",
    "c06_increments_through_eight_handles_all_count",
    "c06_programs_match_a_plain_map",
];

conformance_tests!(FileFixture::new(Durability::Relaxed));

#[test]
fn cases_hold_with_syncs() {
    let sut = SystemUnderTest::new(FileFixture::new(Durability::Synced));
    let (histories, others): (Vec<_>, Vec<_>) =
        cases().into_iter().partition(|case| HISTORIES.contains(&case.name()));
    assert_eq!(histories.len(), HISTORIES.len());
    for case in others {
        if let Err(failure) = case.check(sut.clone()) {
            panic!("{failure}");
        }
    }
}
