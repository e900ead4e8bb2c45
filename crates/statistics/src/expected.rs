//! The quality of a model on rows whose outcome is not known yet, estimated from its calibrated probabilities
//! (confidence-based performance estimation, CBPE, as in NannyML).
//!
//! Of the rows that are predicted to leave, Σ q are expected to leave, where q is the calibrated probability: these are
//! the expected true positives. The same sum over the other rows gives the expected false negatives. F1, precision and
//! recall follow from these counts as from counted ones.
//!
//! The estimate holds as long as a calibrated probability means the same as on the labelled rows of the calibration. It
//! sees that the clients have changed. It cannot see that the relation between the predictors and leaving has changed.

use serde::{Deserialize, Serialize};

use crate::calibration::{Calibration, Terms};
use crate::interval::Interval;
use crate::special::NORMAL_97_5;

/// ExpectedCounts counts of rows, with the sums that their uncertainty follows from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExpectedCounts {
    /// Rows that are predicted to leave.
    pub positives: Group,
    /// Rows that are predicted to stay.
    pub negatives: Group,
}

/// Sums over rows with the same prediction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Group {
    /// Number of rows with this prediction.
    pub rows: u64,
    /// Sum of the calibrated probabilities q: the expected number of clients that leave.
    pub leave: f64,
    /// Sums of q(1 − q) times each term of the calibration: the derivatives of `leave` with respect to its
    /// coefficients. The first term is constant, so the first sum is the variance of the number of clients that leave.
    pub derivatives: Terms,
}

/// A score that is expected of rows, and how certain it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The score that the expected counts give.
    pub value: f64,
    /// 95 % interval of the score that these rows will have once their outcomes are known.
    pub interval: Interval,
}

/// The estimated quality of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Harmonic mean of precision and recall.
    pub f1: Estimate,
    /// Share of the clients predicted to leave that leave.
    pub precision: Estimate,
    /// Share of the clients that leave that are predicted to leave.
    pub recall: Estimate,
}

impl ExpectedCounts {
    /// Adds a row with these log-odds of the model.
    pub fn add(&mut self, calibration: &Calibration, log_odds: f64, predicted: bool) {
        let group = if predicted { &mut self.positives } else { &mut self.negatives };
        let (q, terms) = calibration.probability(log_odds);
        group.rows += 1;
        group.leave += q;
        for (sum, term) in group.derivatives.iter_mut().zip(terms) {
            *sum += q * (1.0 - q) * term;
        }
    }

    /// Adds the sums of other rows.
    pub fn merge(&mut self, other: &Self) {
        for (group, other) in [(&mut self.positives, &other.positives), (&mut self.negatives, &other.negatives)] {
            group.rows += other.rows;
            group.leave += other.leave;
            for (sum, other) in group.derivatives.iter_mut().zip(other.derivatives) {
                *sum += other;
            }
        }
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> u64 {
        self.positives.rows + self.negatives.rows
    }

    /// Estimates the quality on these rows. `calibration` is the one with which the rows were added. As for counted
    /// rows, a score without a positive is 0.
    ///
    /// `None` if there is no row, or a sum is not a number.
    pub fn quality(&self, calibration: &Calibration) -> Option<Quality> {
        let sums = [&self.positives, &self.negatives].map(|group| group.derivatives.iter().sum::<f64>() + group.leave);
        if self.rows() == 0 || sums.iter().any(|sum| !sum.is_finite()) {
            return None;
        }
        let predicted = self.positives.rows as f64;
        let score = |of, from, constant| self.estimate(calibration, &Ratio { of, from, constant });
        Some(Quality {
            f1: score(2.0, [1.0, 1.0], predicted),
            precision: score(1.0, [0.0, 0.0], predicted),
            recall: score(1.0, [1.0, 1.0], 0.0),
        })
    }

    /// Estimates a score from the moments of the numbers of true positives T and false negatives N.
    ///
    /// The score is below s if and only if of·T − s·(constant + from·(T, N)) is below 0, which is linear in T and N, so
    /// no approximation of the ratio is needed (Fieller, Some problems in interval estimation, JRSS B 16, 1954). The
    /// variance of (T, N) is that of the unknown outcomes plus that of the calibration, and half a step of T is
    /// added as a continuity correction.
    fn estimate(&self, calibration: &Calibration, ratio: &Ratio) -> Estimate {
        if self.positives.rows == 0 {
            return Estimate { value: 0.0, interval: Interval { low: 0.0, high: 0.0 } };
        }
        let [t, n] = [&self.positives, &self.negatives];
        let covariance = |a: &Group, b: &Group| calibration.covariance_of(&a.derivatives, &b.derivatives);
        let variance = |group: &Group| group.derivatives[0] + covariance(group, group);
        let (variance_t, variance_n, covariance) = (variance(t), variance(n), covariance(t, n));
        // How far the difference at a score s is from 0, in units of the half width of the interval.
        let distance = |s: f64| {
            let (a, b) = (ratio.of - s * ratio.from[0], -s * ratio.from[1]);
            let mean = a * t.leave + b * n.leave - s * ratio.constant;
            let variance = a * a * variance_t + b * b * variance_n + 2.0 * a * b * covariance;
            mean / (NORMAL_97_5 * variance.max(0.0).sqrt() + 0.5 * a.abs())
        };
        let value = ratio.of * t.leave / (ratio.constant + ratio.from[0] * t.leave + ratio.from[1] * n.leave);
        let value = if value.is_nan() { 0.0 } else { value };
        let interval = Interval { low: root(distance, 1.0), high: root(distance, -1.0) };
        Estimate { value, interval: Interval { low: interval.low.min(value), high: interval.high.max(value) } }
    }
}

/// A score: `of`·T / (`constant` + `from`·(T, N)).
struct Ratio {
    of: f64,
    from: [f64; 2],
    constant: f64,
}

/// Returns the s in \[0, 1\] where the decreasing function `distance` falls to `end`.
fn root(distance: impl Fn(f64) -> f64, end: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    if distance(low) <= end {
        return low;
    }
    if distance(high) >= end {
        return high;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if distance(middle) > end { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_odds(p: f64) -> f64 {
        (p / (1.0 - p)).ln()
    }

    fn counts(calibration: &Calibration, probabilities: &[f64]) -> ExpectedCounts {
        let mut counts = ExpectedCounts::default();
        probabilities.iter().for_each(|p| counts.add(calibration, log_odds(*p), *p >= 0.5));
        counts
    }

    fn quality(probabilities: &[f64]) -> Quality {
        counts(&Calibration::NONE, probabilities).quality(&Calibration::NONE).unwrap()
    }

    #[test]
    fn scores_follow_from_the_expected_counts() {
        // 1.5 true positives, 0.5 false positives, 0.3 false negatives.
        let quality = quality(&[0.9, 0.6, 0.2, 0.1]);
        for (estimate, value) in [(quality.f1, 3.0 / 3.8), (quality.precision, 1.5 / 2.0), (quality.recall, 1.5 / 1.8)]
        {
            assert!((estimate.value - value).abs() < 1e-12, "{estimate:?} {value}");
            assert!(estimate.interval.contains(value) && estimate.interval.low < 0.6, "{estimate:?}");
        }
    }

    #[test]
    fn parts_are_merged() {
        let calibration = Calibration::fit(&[(0.0, true), (-1.0, false), (2.0, true), (-2.0, false)]).unwrap();
        let (first, second) = ([0.9, 0.3, 0.5], [0.1, 0.7]);
        let mut merged = counts(&calibration, &first);
        merged.merge(&counts(&calibration, &second));
        let whole = counts(&calibration, &[first.as_slice(), &second].concat());
        assert_eq!((merged.rows(), merged.positives.rows), (5, 3));
        for (part, whole) in [(merged.positives, whole.positives), (merged.negatives, whole.negatives)] {
            let differences = part.derivatives.iter().zip(whole.derivatives).map(|(a, b)| (a - b).abs());
            assert!(differences.chain([(part.leave - whole.leave).abs()]).all(|difference| difference < 1e-12));
        }
    }

    #[test]
    fn many_rows_have_the_interval_of_the_normal_distribution() {
        let rows = 100_000;
        let precision = quality(&vec![0.7; rows]).precision;
        let deviation = (0.7 * 0.3 / rows as f64).sqrt();
        assert!((precision.interval.high - 0.7 - 1.96 * deviation).abs() < 0.01 * deviation, "{precision:?}");
        assert!((0.7 - precision.interval.low - 1.96 * deviation).abs() < 0.01 * deviation, "{precision:?}");
        assert_eq!(quality(&vec![0.7; rows]).recall.value, 1.0);
    }

    #[test]
    fn rows_without_a_positive_and_no_rows() {
        for probabilities in [vec![0.2; 50], vec![0.499], vec![0.0; 9]] {
            let Quality { f1, precision, recall } = quality(&probabilities);
            let zero = Estimate { value: 0.0, interval: Interval { low: 0.0, high: 0.0 } };
            assert_eq!([f1, precision, recall], [zero; 3]);
        }
        assert_eq!(ExpectedCounts::default().quality(&Calibration::NONE), None);
        let mut unknown = counts(&Calibration::NONE, &[0.9]);
        unknown.add(&Calibration::NONE, f64::NAN, false);
        assert_eq!(unknown.quality(&Calibration::NONE), None);
    }

    #[test]
    fn certain_rows_are_certain_and_every_interval_lies_in_0_to_1() {
        let certain = quality(&[vec![1.0; 1000], vec![0.0; 1000]].concat());
        assert!(certain.f1.value > 1.0 - 1e-12 && certain.f1.interval.low > 0.99, "{certain:?}");
        for probabilities in [vec![0.5], vec![0.99, 0.01], vec![0.6; 3], [vec![0.51], vec![0.49; 1000]].concat()] {
            let Quality { f1, precision, recall } = quality(&probabilities);
            for Estimate { value, interval: Interval { low, high } } in [f1, precision, recall] {
                assert!(0.0 <= low && low <= value && value <= high && high <= 1.0, "{low} {value} {high}");
            }
        }
    }

    #[test]
    fn fewer_labelled_rows_make_the_estimate_less_certain() {
        let width = |tested: usize| {
            let test: Vec<_> = (0..tested).map(|row| (row as f64 / tested as f64 - 0.4, row % 2 == 0)).collect();
            let calibration = Calibration::fit(&test).unwrap();
            let interval = counts(&calibration, &[0.6, 0.45].repeat(5000)).quality(&calibration).unwrap().f1.interval;
            interval.high - interval.low
        };
        assert!(width(20) > 2.0 * width(200) && width(200) > 2.0 * width(20_000));
    }
}
