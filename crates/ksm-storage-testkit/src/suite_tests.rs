use super::*;

fn report(failed: &[(&str, FailureKind)]) -> Report {
    let result = |case: &Case| match failed.iter().find(|(name, _)| *name == case.name()) {
        Some((name, kind)) => Err(Failure::new(*kind, *name)),
        None => Ok(Verdict::Passed),
    };
    Report(cases().into_iter().map(|case| (case, result(&case))).collect())
}

#[test]
fn report_starts_with_first_clause() {
    use FailureKind::{Fixture, Hung, Wrong};
    for (failed, first) in [
        (&[("c06_racing_stores_have_one_winner", Wrong), ("c01_opening_loads_once", Wrong)][..], "c06"),
        (&[("c13_failures_show_no_secret", Wrong), ("c09_a_payload_is_stored_whole", Wrong)], "c09"),
        (&[("c01_silent_is_not_absent", Hung), ("c14_silence_ends_calls", Wrong)], "c14"),
        (&[("c01_silent_is_not_absent", Wrong), ("c15_the_largest_payload_is_stored", Fixture)], "c15"),
    ] {
        let report = report(failed);
        let (case, _) = report.start_here().unwrap();
        assert!(case.name().starts_with(first), "{report}");
    }
    assert!(report(&[]).start_here().is_none() && !report(&[]).to_string().contains("start here"));
}

#[test]
fn failing_tests_name_the_foremost() {
    let failed = Mutex::new(None);
    assert_eq!(foremost(&failed, (1, false, 5), "c07"), "c07");
    assert_eq!(foremost(&failed, (1, true, 0), "c02"), "c07");
    assert_eq!(foremost(&failed, (0, false, 9), "fixture"), "fixture");
}
