//! The performance goals, and whether they are met.

use crate::{
    Measured,
    queue::BURST,
    samples::{Samples, float, ratio},
    start::{BARE, BARE_DEFAULT, OURS, OURS_MINIMAL, PYTHON},
};

pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

pub(crate) struct Goal {
    pub(crate) subject: String,
    pub(crate) bound: Bound,
    /// `None` if it was not measured.
    pub(crate) figure: Option<f64>,
}

impl Goal {
    /// `None` if it was not measured.
    pub(crate) fn is_met(&self) -> Option<bool> {
        self.figure.map(|figure| match self.bound {
            Bound::AtMost(most) => figure <= most,
            Bound::AtLeast(least) => figure >= least,
        })
    }
}

pub(crate) fn all(measured: &Measured) -> Vec<Goal> {
    let Measured { starts, queue, reads } = measured;
    let mut goals = Vec::new();
    let mut add = |subject: String, bound, figure| goals.push(Goal { subject, bound, figure });
    for name in [OURS, OURS_MINIMAL] {
        let http = format!("start of `{name}` over HTTP, relative to `{BARE}`");
        add(http, Bound::AtMost(1.05), ratio(&starts.http, name, BARE));
        let python = format!("start of Python's `AwsSecretStorage` over HTTP, relative to `{name}`");
        add(python, Bound::AtLeast(35.0), ratio(&starts.http, PYTHON, name));
        let https = format!("start of `{name}` over HTTPS, relative to `{BARE_DEFAULT}`");
        add(https, Bound::AtMost(0.5), ratio(&starts.https, name, BARE_DEFAULT));
        let peak = starts.peak.get(name).map(|peak| peak.median() / 1024.0);
        add(format!("peak memory of `{name}` over HTTPS, in MiB"), Bound::AtMost(10.0), peak);
    }
    let bare = "`get` on one thread, relative to `ArcSwap::load` and an index".to_owned();
    add(bare, Bound::AtMost(1.3), ratio(reads, "get/1", "arc_swap_load_index/1"));
    // The slowdown by a second thread, relative to that of code that shares nothing.
    let slowdown = |name: &str| Some(reads.get(&format!("{name}/2"))?.by(reads.get(&format!("{name}/1"))?));
    let contention = slowdown("get").zip(slowdown("control"));
    let contention = contention.map(|(get, control)| Samples::by(&get, &control).median());
    add(
        "`get` on two threads, relative to one and to the control".to_owned(),
        Bound::AtMost(1.2),
        contention,
    );
    for (threads, least) in [(1, 8.0), (2, 15.0)] {
        let peer = format!("aws_secretsmanager_caching/{threads}");
        let cached = format!("cached read of `{peer}`, relative to `get/{threads}`");
        add(cached, Bound::AtLeast(least), ratio(reads, &peer, &format!("get/{threads}")));
    }
    let puts = format!("puts for {BURST} concurrent calls of `set`");
    add(puts, Bound::AtMost(10.0), Some(float(queue.puts)));
    goals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_figures_meet_nothing() {
        let met = |bound, figure| Goal { subject: String::new(), bound, figure }.is_met();
        assert_eq!(met(Bound::AtMost(1.0), Some(1.0)), Some(true));
        assert_eq!(met(Bound::AtMost(1.0), Some(1.1)), Some(false));
        assert_eq!(met(Bound::AtLeast(1.0), Some(f64::NAN)), Some(false));
        assert_eq!(met(Bound::AtLeast(1.0), None), None);
    }
}
