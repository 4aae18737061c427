//! The cost of checking a history of 4 clients with 15 calls each. An iteration checks one of several hundred
//! histories.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../tests/generate/mod.rs"]
mod generate;

use criterion::{Criterion, criterion_group, criterion_main};
use fastrand::Rng;
use generate::history;
use ksm_storage_testkit::history::{Event, State, Verdict, check};

const STEPS: usize = 1_000_000;

fn checker(c: &mut Criterion) {
    let mut group = c.benchmark_group("check");
    for (outcomes, unknown) in [("known", 0), ("unknown", 20)] {
        let mut random = Rng::with_seed(1);
        let make = || history(&mut random, 4, 60, unknown);
        let verdict = |events: &Vec<Event>| check(&State::new(), events, STEPS);
        let checked = std::iter::repeat_with(make).map(|events| (verdict(&events), events));
        let histories: Vec<_> = checked.take(1_000).collect();
        for (name, kind) in [("good", Verdict::Linearizable), ("bad", Verdict::Violation)] {
            let of_kind = histories.iter().filter(|(verdict, _)| *verdict == kind).map(|(_, events)| events);
            let of_kind: Vec<_> = of_kind.collect();
            assert!(of_kind.len() > 250, "{} histories are {name}", of_kind.len());
            let mut next = of_kind.iter().cycle();
            group.bench_function(format!("{name}/{outcomes}"), |b| b.iter(|| verdict(next.next().unwrap())));
        }
    }
    group.finish();
}

criterion_group!(benches, checker);
criterion_main!(benches);
