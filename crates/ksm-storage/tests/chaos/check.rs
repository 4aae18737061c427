//! The verdict on a history of versions and calls. It considers only marks, and is independent of the protocol.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::fault::Fault;

/// The time by which a call may exceed its deadline, in milliseconds.
const TOLERANCE: u64 = 1_000;

/// The complete history of one secret, until no request is in flight.
pub(crate) struct History {
    /// In the order in which they became current.
    pub(crate) versions: Vec<Version>,
    pub(crate) calls: Vec<Call>,
    /// In milliseconds, like all times.
    pub(crate) deadline: u64,
}

/// A version that was once current.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) at: u64,
    /// The marks in the order in which they were appended.
    pub(crate) marks: Vec<String>,
    pub(crate) by: &'static str,
    pub(crate) foreign: bool,
}

/// A call that appends a mark.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) mark: String,
    pub(crate) begin: u64,
    /// For an open call, the time at which its process ended.
    pub(crate) end: u64,
    /// The part of the call during which its process was stopped, or waited for the processor.
    pub(crate) paused: u64,
    pub(crate) fate: Fate,
    pub(crate) kind: String,
    pub(crate) met: BTreeSet<Fault>,
}

/// The result that was reported to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Applied,
    NotApplied,
    Unknown,
    /// The process ended before the call returned.
    Open,
}

/// Findings, one line each.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) lost: Vec<String>,
    pub(crate) twice: Vec<String>,
    pub(crate) ghosts: Vec<String>,
    pub(crate) late: Vec<String>,
    /// Losses that a foreign write explains.
    pub(crate) foreign: Vec<String>,
    /// The number of acknowledged stores whose call met each fault. Calls of killed processes are never acknowledged.
    pub(crate) stores: BTreeMap<Fault, usize>,
    pub(crate) acknowledged: usize,
    pub(crate) calls: usize,
}

/// The versions that contain a mark.
#[derive(Clone, Copy)]
struct Presence {
    first: usize,
    last: usize,
    /// The maximum number of occurrences in one version.
    most: usize,
}

impl Report {
    pub(crate) fn add(&mut self, other: Self) {
        self.lost.extend(other.lost);
        self.twice.extend(other.twice);
        self.ghosts.extend(other.ghosts);
        self.late.extend(other.late);
        self.foreign.extend(other.foreign);
        for (fault, stores) in other.stores {
            *self.stores.entry(fault).or_default() += stores;
        }
        self.acknowledged += other.acknowledged;
        self.calls += other.calls;
    }

    pub(crate) fn is_clean(&self) -> bool {
        [&self.lost, &self.twice, &self.ghosts, &self.late].iter().all(|lines| lines.is_empty())
    }
}

impl History {
    pub(crate) fn check(&self) -> Report {
        let presences = self.presences();
        let explained = self.explained_by_foreign_writes();
        let mut report = Report { calls: self.calls.len(), ..Report::default() };
        report.ghosts.extend(self.marks_of_nobody(&presences));
        let mut stores: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let mut acknowledged = BTreeSet::new();
        for call in &self.calls {
            let presence = presences.get(&*call.mark);
            let trace = |problem: &str| self.trace(problem, call, presence);
            if let Some(presence) = presence {
                let is_applied = call.fate == Fate::Applied;
                acknowledged.extend(is_applied.then_some(presence.first));
                for fault in call.met.iter().filter(|fault| is_applied || **fault == Fault::Killed) {
                    stores.entry(*fault).or_default().insert(presence.first);
                }
            }
            let gone = presence.is_none_or(|presence| presence.last + 1 < self.versions.len());
            if call.fate == Fate::Applied && gone {
                let is_explained = presence.is_some_and(|presence| explained[presence.last + 1]);
                let lines = if is_explained { &mut report.foreign } else { &mut report.lost };
                lines.push(trace("lost"));
            }
            if presence.is_some_and(|presence| presence.most > 1) {
                report.twice.push(trace("twice"));
            }
            if call.fate == Fate::NotApplied && presence.is_some() {
                report.ghosts.push(trace("ghost"));
            }
            if call.end - call.begin > call.paused + self.deadline + TOLERANCE {
                report.late.push(trace("late"));
            }
        }
        report.stores = stores.into_iter().map(|(fault, versions)| (fault, versions.len())).collect();
        report.acknowledged = acknowledged.len();
        report
    }

    /// Marks that are in no log, and that no foreign version introduced.
    fn marks_of_nobody(&self, presences: &HashMap<&str, Presence>) -> Vec<String> {
        let logged: BTreeSet<_> = self.calls.iter().map(|call| &*call.mark).collect();
        let strange = presences
            .iter()
            .filter(|(mark, presence)| !logged.contains(*mark) && !self.versions[presence.first].foreign);
        strange
            .map(|(mark, presence)| format!("ghost: {mark}: in no log; in version {}", presence.first))
            .collect()
    }

    fn presences(&self) -> HashMap<&str, Presence> {
        let mut presences: HashMap<&str, Presence> = HashMap::new();
        for (index, version) in self.versions.iter().enumerate() {
            let mut counts: HashMap<&str, usize> = HashMap::new();
            for mark in &version.marks {
                *counts.entry(mark).or_default() += 1;
            }
            for (mark, count) in counts {
                let presence = Presence { first: index, last: index, most: count };
                let presence = presences.entry(mark).or_insert(presence);
                presence.last = index;
                presence.most = presence.most.max(count);
            }
        }
        presences
    }

    /// Returns for each version whether a foreign write explains its missing marks: the version is foreign, or it was
    /// based on a version before its predecessor because of a foreign write in between.
    fn explained_by_foreign_writes(&self) -> Vec<bool> {
        let mut explained: Vec<bool> = Vec::new();
        for (index, version) in self.versions.iter().enumerate() {
            let between = self.base(index).map_or(0, |base| base + 1)..index;
            explained.push(version.foreign || explained[between].contains(&true));
        }
        explained
    }

    /// The version that this one continues: the latest of those that share the longest prefix of marks.
    fn base(&self, index: usize) -> Option<usize> {
        let marks = &self.versions[index].marks;
        let continues = |earlier: &usize| marks.starts_with(&self.versions[*earlier].marks);
        let before = index.checked_sub(1)?;
        if continues(&before) {
            return Some(before);
        }
        (0..before).filter(continues).max_by_key(|&earlier| (self.versions[earlier].marks.len(), earlier))
    }

    fn trace(&self, problem: &str, call: &Call, presence: Option<&Presence>) -> String {
        let start = self.versions.first().map_or(call.begin, |version| version.at);
        let seconds = |at: u64| {
            format!("{:.3} s", std::time::Duration::from_millis(at.saturating_sub(start)).as_secs_f64())
        };
        let describe = |index: usize| {
            let version = &self.versions[index];
            let who = if version.foreign { "foreign " } else { "" };
            let last = version.marks.last().map_or("nothing", String::as_str);
            format!("version {index} ({who}{} of {last}, {})", version.by, seconds(version.at))
        };
        let history = match presence {
            None => "in no version".to_owned(),
            Some(presence) => {
                let until = match presence.last + 1 {
                    after if after < self.versions.len() => format!("gone from {}", describe(after)),
                    _ => "still there".to_owned(),
                };
                format!("in {} up to {} times, {until}", describe(presence.first), presence.most)
            }
        };
        let met: Vec<_> = call.met.iter().map(ToString::to_string).collect();
        format!(
            "{problem}: {}: {:?} ({}) from {} to {}, paused {} ms; {history}; met: {}",
            call.mark,
            call.fate,
            call.kind,
            seconds(call.begin),
            seconds(call.end),
            call.paused,
            met.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Fate::{Applied, NotApplied, Open, Unknown},
        *,
    };

    /// Creates a version with these marks; `!` makes it foreign.
    fn version(marks: &str) -> Version {
        let foreign = marks.ends_with('!');
        let marks = marks.trim_end_matches('!').chars().map(String::from).collect();
        Version { at: 0, marks, by: "put", foreign }
    }

    fn call(mark: &str, fate: Fate) -> Call {
        let (mark, kind, met) = (mark.to_owned(), "test".to_owned(), BTreeSet::from([Fault::Delayed]));
        Call { mark, begin: 0, end: 10, paused: 0, fate, kind, met }
    }

    fn check<const N: usize>(versions: &[&str], calls: [(&str, Fate); N]) -> Report {
        let versions = versions.iter().map(|marks| version(marks)).collect();
        let calls = calls.map(|(mark, fate)| call(mark, fate)).to_vec();
        History { versions, calls, deadline: 1_000 }.check()
    }

    /// The numbers of lost, repeated, ghost, late and foreign-explained marks.
    fn counts(report: &Report) -> [usize; 5] {
        [&report.lost, &report.twice, &report.ghosts, &report.late, &report.foreign].map(Vec::len)
    }

    #[test]
    fn correct_history_is_clean() {
        let calls = [("a", Applied), ("b", Unknown), ("c", Open), ("d", NotApplied), ("e", Unknown)];
        let report = check(&["", "a", "ab", "abc"], calls);
        assert_eq!(counts(&report), [0; 5]);
        assert!(report.is_clean());
        assert_eq!(report.stores, BTreeMap::from([(Fault::Delayed, 1)]));
    }

    #[test]
    fn displaced_change_is_lost() {
        let report = check(&["", "a", "b"], [("a", Applied), ("b", Applied)]);
        assert_eq!(counts(&report), [1, 0, 0, 0, 0]);
        assert!(!report.is_clean());
        assert!(report.lost[0].contains("gone from version 2 (put of b"), "{}", report.lost[0]);
    }

    #[test]
    fn change_never_stored_is_lost() {
        assert_eq!(counts(&check(&[""], [("a", Applied)])), [1, 0, 0, 0, 0]);
    }

    #[test]
    fn displaced_unknown_change_is_allowed() {
        assert_eq!(counts(&check(&["", "a", "b"], [("a", Unknown), ("b", Applied)])), [0; 5]);
    }

    #[test]
    fn repeated_change_is_twice() {
        for fate in [Applied, Unknown, Open] {
            assert_eq!(
                counts(&check(&["", "a", "ab", "aba"], [("a", fate), ("b", Unknown)])),
                [0, 1, 0, 0, 0]
            );
        }
        // Even if a later version lacks it.
        assert_eq!(counts(&check(&["", "a", "aa", "b"], [("a", Unknown), ("b", Unknown)])), [0, 1, 0, 0, 0]);
    }

    #[test]
    fn refused_change_is_a_ghost() {
        assert_eq!(counts(&check(&["", "a"], [("a", NotApplied)])), [0, 0, 1, 0, 0]);
        assert_eq!(counts(&check(&["", "a", "b"], [("a", NotApplied), ("b", Unknown)])), [0, 0, 1, 0, 0]);
    }

    #[test]
    fn mark_of_nobody_is_a_ghost() {
        assert_eq!(counts(&check(&["", "a", "ab"], [("a", Applied)])), [0, 0, 1, 0, 0]);
        assert_eq!(counts(&check(&["", "a", "af!"], [("a", Applied)])), [0; 5]);
    }

    #[test]
    fn overdue_call_is_late() {
        let late = |end, paused, fate| {
            let calls = vec![Call { end, paused, ..call("a", fate) }];
            counts(&History { versions: vec![version(""), version("a")], calls, deadline: 1_000 }.check())[3]
        };
        assert_eq!((late(2_000, 0, Applied), late(2_001, 0, Applied)), (0, 1));
        assert_eq!((late(2_500, 500, Unknown), late(2_501, 500, Unknown)), (0, 1));
        assert_eq!((late(2_000, 0, Open), late(2_001, 0, Open)), (0, 1));
    }

    #[test]
    fn blind_foreign_write_explains_losses() {
        let report = check(&["", "a", "f!"], [("a", Applied)]);
        assert_eq!(counts(&report), [0, 0, 0, 0, 1]);
        assert!(report.is_clean());
    }

    #[test]
    fn foreign_fork_explains_losses() {
        // `b` was written over `f`, and `c` over `b`, because `c` was based on `f`.
        let report = check(&["", "a", "af!", "ab", "afc"], [("a", Unknown), ("b", Applied), ("c", Applied)]);
        assert_eq!(counts(&report), [0, 0, 0, 0, 1]);
    }

    #[test]
    fn earlier_foreign_write_explains_nothing() {
        let report = check(&["", "f!", "fa", "fab", "fc"], [("a", Applied), ("b", Applied), ("c", Applied)]);
        assert_eq!(counts(&report), [2, 0, 0, 0, 0]);
    }
}
