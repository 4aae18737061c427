//! Repeated measurements.

use std::collections::BTreeMap;

use crate::Result;

/// The number of discarded runs per subject.
const WARM_UP: usize = 2;
/// The maximum spread of a reliable figure.
const MAX_SPREAD: f64 = 0.25;

/// Figures in the order of measurement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(pub(crate) Vec<f64>);

impl Samples {
    pub(crate) fn median(&self) -> f64 {
        self.percentile(50.0)
    }

    /// The smallest figure that is at least as large as this percentage of all, or NaN without figures.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = rounded((percent / 100.0 * float(sorted.len())).ceil());
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// Divides each figure by the figure of `other` from the same round.
    pub(crate) fn by(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| own / other).collect())
    }

    /// Returns true if the middle half of the figures is close together, so that the median is reproducible.
    pub(crate) fn is_reliable(&self) -> bool {
        self.percentile(75.0) - self.percentile(25.0) <= MAX_SPREAD * self.median()
    }
}

#[expect(clippy::cast_precision_loss, reason = "nothing here is counted up to 2^53")]
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nothing here is negative")]
pub(crate) fn rounded(figure: f64) -> usize {
    figure.round() as usize
}

/// Figures by subject.
pub(crate) type Table = BTreeMap<String, Samples>;

/// The ratios of figures from the same round, if both subjects were measured.
pub(crate) fn ratio(table: &Table, name: &str, other: &str) -> Option<Samples> {
    Some(table.get(name)?.by(table.get(other)?))
}

/// Something to measure: its name, and a function that returns a figure.
pub(crate) type Subject<'a> = (String, Box<dyn FnMut() -> Result<f64> + 'a>);

/// Measures all subjects in every round, starting with another one each time, so that disturbances affect all.
pub(crate) fn interleaved(rounds: usize, subjects: &mut [Subject<'_>]) -> Result<Table> {
    let mut table = Table::new();
    for round in 0..WARM_UP + rounds {
        for place in 0..subjects.len() {
            let place = (round + place) % subjects.len();
            let (name, measure) = &mut subjects[place];
            let figure = measure()?;
            if round >= WARM_UP {
                table.entry(name.clone()).or_default().0.push(figure);
            }
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_figures_that_were_measured() {
        let samples = Samples(vec![4.0, 1.0, 3.0, 2.0]);
        let percentiles = [0.0, 25.0, 50.0, 51.0, 100.0].map(|percent| samples.percentile(percent));
        assert_eq!(percentiles.to_vec(), [1.0, 1.0, 2.0, 3.0, 4.0]);
        assert!(Samples::default().median().is_nan());
    }

    #[test]
    fn ratios_are_of_neighbours() {
        assert_eq!(Samples(vec![2.0, 9.0]).by(&Samples(vec![1.0, 3.0])).0, [2.0, 3.0]);
    }

    #[test]
    fn wide_spreads_are_unreliable() {
        // Some runs wait for a delayed acknowledgement.
        let two_modes = [[5.0; 10], [45.0; 10]].concat();
        assert!(!Samples(two_modes).is_reliable() && !Samples::default().is_reliable());
        assert!(Samples((0..20).map(|step| 5.0 + float(step) / 20.0).collect()).is_reliable());
    }
}
