//! The performance goals, and whether they are met.

use std::ops::RangeInclusive;

use crate::{
    Measured,
    samples::{Samples, ratio},
};

pub(crate) struct Goal {
    pub(crate) subject: String,
    pub(crate) range: RangeInclusive<f64>,
    /// `None` if it was not measured.
    pub(crate) figure: Option<Samples>,
}

impl Goal {
    /// `None` if it was not measured.
    pub(crate) fn is_met(&self) -> Option<bool> {
        self.figure.as_ref().map(|figure| self.range.contains(&figure.median()))
    }
}

const EQUAL: RangeInclusive<f64> = 0.8..=1.2;

const fn at_most(most: f64) -> RangeInclusive<f64> {
    0.0..=most
}

const fn at_least(least: f64) -> RangeInclusive<f64> {
    least..=f64::INFINITY
}

pub(crate) fn all(measured: &Measured) -> Vec<Goal> {
    let reads = &measured.reads;
    let slowdown = |name: &str| ratio(reads, &format!("{name}/2"), &format!("{name}/1"));
    let slowdowns = ["get", "control"].map(|name| Some((name.to_owned(), slowdown(name)?)));
    let slowdowns = slowdowns.into_iter().flatten().collect();

    let goals = |what, table| {
        move |name, other, range| {
            let subject = format!("{what}: `{name}`, relative to `{other}`");
            Goal { subject, range, figure: ratio(table, name, other) }
        }
    };
    let start = goals("start", &measured.starts.opening);
    let job = goals("main job", &measured.starts.records);
    let read = goals("read", reads);
    let slowdown = goals("slowdown by a second thread", &slowdowns);
    vec![
        start("ours/https", "bare-default/https", at_most(0.5)),
        start("ours/http", "bare-default/http", at_most(1.05)),
        start("python/http", "ours/http", at_least(35.0)),
        start("bare-default/https", "bare-default/nginx", EQUAL),
        start("ours/https", "ours/nginx", EQUAL),
        job("main-job/https", "bare-sdk/https", at_most(0.25)),
        job("main-job/https", "python/https", at_most(0.02)),
        job("bare-sdk/https", "bare-sdk/nginx", EQUAL),
        job("main-job/https", "main-job/nginx", EQUAL),
        read("get/1", "arc_swap_load_index/1", at_most(1.3)),
        slowdown("get", "control", at_most(1.2)),
        read("aws_secretsmanager_caching/1", "get/1", at_least(8.0)),
        read("aws_secretsmanager_caching/2", "get/2", at_least(15.0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_figures_meet_nothing() {
        let (subject, range) = (String::new(), at_least(1.0));
        let mut goal = Goal { subject, range, figure: None };
        assert_eq!(goal.is_met(), None);
        for (figure, is_met) in [(1.0, true), (0.9, false), (f64::NAN, false)] {
            goal.figure = Some(Samples(vec![figure]));
            assert_eq!(goal.is_met(), Some(is_met));
        }
    }
}
