//! Each mistake, and the clause whose cases catch it.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use ksm_storage_testkit::{Case, Clause, Failure, FailureKind, Level, SystemUnderTest, cases};

use crate::{fixture::Server, mistake::Mistake};

/// Many, because most cases here spend their time waiting for a time limit.
const WORKERS: usize = 16;

/// The clause that `mistake` violates.
const fn clause(mistake: Mistake) -> Clause {
    use Mistake as M;
    match mistake {
        M::FailedLoadIsAbsent
        | M::FailedLoadIsNotFound
        | M::AbsentIsEmptyDocument
        | M::Trims
        | M::Rewrites => Clause::C1,
        M::CommittedBeforeAnswer | M::ReturnsExpected | M::CachesLoad | M::ReadsReplica => Clause::C3,
        M::ConfirmsStale => Clause::C2,
        M::FullIsCommitted | M::NotAppliedAlways | M::NotAppliedOnTimeout | M::ResendsStore => Clause::C4,
        M::RevisionAsVersion
        | M::OneAbsence
        | M::HashAsVersion
        | M::CheckThenWrite
        | M::IgnoresExpected
        | M::RetriesConflict
        | M::ConflictIsError => Clause::C6,
        M::CutsAtBuffer | M::MixesTwoReads | M::VersionAfterPayload | M::WritesTwice => Clause::C9,
        M::CreatesOnConflict | M::CreatesOnLoad => Clause::C12,
        M::DerivedDebug
        | M::PasswordInLocation
        | M::PasswordInError
        | M::ServerTextAsMessage
        | M::ServerTextAsSource
        | M::RequestAsDeepSource
        | M::PanicsWithRequest
        | M::LogsPayload
        | M::LogsBytes => Clause::C13,
        M::NoTimeLimit | M::RetriesForever => Clause::C14,
        M::DeclaresTooMuch => Clause::C15,
    }
}

/// The cases that catch each mistake, among those that call the backend and that `of` selects.
fn caught(of: impl Fn(Mistake, &Case) -> bool) -> Vec<(Mistake, Case, Failure)> {
    let backend: Vec<_> = cases().into_iter().filter(|case| case.level() == Level::Backend).collect();
    let pairs = Mistake::ALL.iter().flat_map(|mistake| backend.iter().map(|case| (*mistake, *case)));
    let work: Vec<_> = pairs.filter(|(mistake, case)| of(*mistake, case)).collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some((mistake, case)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let sut = SystemUnderTest::new(Server(Some(*mistake)));
                    if let Err(failure) = case.check(sut) {
                        found.lock().unwrap().push((*mistake, *case, failure));
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    let place = |mistake| Mistake::ALL.iter().position(|other| *other == mistake);
    found.sort_by_key(|(mistake, case, _)| (place(*mistake), case.name()));
    found
}

#[test]
fn mistakes_are_caught_by_their_clause() {
    let caught = caught(|mistake, case| case.clause() == clause(mistake));
    let wrong = |mistake| {
        caught.iter().find(|(by, _, failure)| *by == mistake && failure.kind() == FailureKind::Wrong)
    };
    let mut missed = Vec::new();
    for mistake in Mistake::ALL {
        match wrong(*mistake) {
            Some((_, case, failure)) => {
                let message = failure.to_string().lines().next().unwrap_or_default().to_owned();
                println!("| {mistake:?} | {} | {message} |", case.name());
            }
            None => missed.push(*mistake),
        }
    }
    assert_eq!(missed, []);
}
