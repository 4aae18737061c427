//! The performance goals, and whether they are met.

use crate::{
    Measured,
    samples::{Samples, ratio},
    start::{BARE, BARE_SDK, JOB, OURS, PYTHON},
};

pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Between 80 % and 120 %.
    Within20Percent,
}

pub(crate) struct Goal {
    pub(crate) subject: String,
    pub(crate) bound: Bound,
    /// `None` if it was not measured.
    pub(crate) figure: Option<Samples>,
}

impl Goal {
    /// `None` if it was not measured.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let figure = self.figure.as_ref()?.median();
        Some(match self.bound {
            Bound::AtMost(most) => figure <= most,
            Bound::AtLeast(least) => figure >= least,
            Bound::Within20Percent => (0.8..=1.2).contains(&figure),
        })
    }
}

pub(crate) fn all(measured: &Measured) -> Vec<Goal> {
    use Bound::{AtLeast, AtMost, Within20Percent};

    let Measured { starts, reads, .. } = measured;
    let mut goals = Vec::new();
    let mut add = |subject: String, bound, figure| goals.push(Goal { subject, bound, figure });
    let (opening, records) = (&starts.opening, &starts.records);
    for (job, table, name, other, via, bound) in [
        ("start", opening, OURS, BARE, "https", AtMost(0.5)),
        ("start", opening, OURS, BARE, "http", AtMost(1.05)),
        ("start", opening, PYTHON, OURS, "http", AtLeast(35.0)),
        ("main job", records, JOB, BARE_SDK, "https", AtMost(0.25)),
        ("main job", records, JOB, PYTHON, "https", AtMost(0.02)),
    ] {
        let figure = ratio(table, &format!("{name}/{via}"), &format!("{other}/{via}"));
        add(format!("{job} of `{name}` over {}, relative to `{other}`", via.to_uppercase()), bound, figure);
    }
    for (table, names) in [(opening, &[BARE, OURS]), (records, &[BARE_SDK, JOB])] {
        for name in names {
            let figure = ratio(table, &format!("{name}/https"), &format!("{name}/nginx"));
            add(format!("`{name}` over HTTPS, relative to the same behind nginx"), Within20Percent, figure);
        }
    }
    let bare = "`get` on one thread, relative to `ArcSwap::load` and an index".to_owned();
    add(bare, AtMost(1.3), ratio(reads, "get/1", "arc_swap_load_index/1"));
    // The slowdown caused by a second thread, relative to that of code that shares nothing.
    let slowdown = |name: &str| ratio(reads, &format!("{name}/2"), &format!("{name}/1"));
    let contention = slowdown("get").zip(slowdown("control")).map(|(get, control)| get.by(&control));
    add("`get` on two threads, relative to one and to the control".to_owned(), AtMost(1.2), contention);
    for (threads, least) in [(1, 8.0), (2, 15.0)] {
        let peer = format!("aws_secretsmanager_caching/{threads}");
        let cached = format!("cached read of `{peer}`, relative to `get/{threads}`");
        add(cached, AtLeast(least), ratio(reads, &peer, &format!("get/{threads}")));
    }
    goals
}
