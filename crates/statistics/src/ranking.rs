//! Measures of how well probabilities rank clients and how reliable they are. F1 uses only one threshold; these
//! measures use all of them.
//!
//! Every function takes pairs of (probability of leaving, whether the client left) in any order. The result is `None`
//! if there is no pair, or a probability is not a number from 0 to 1.

use crate::quantile;

/// A predicted probability of leaving, and whether the client left.
pub type Pair = (f64, bool);

/// The pairs in order of decreasing probability, with cumulative counts at every threshold.
///
/// Clients with equal probabilities are always on the same side of a threshold, so ties are one step of every curve.
#[derive(Clone, Debug)]
pub struct Ranking {
    steps: Vec<Step>,
}

/// The counts of the clients whose probability is at least that of the step.
#[derive(Clone, Copy, Debug)]
struct Step {
    true_positives: u64,
    false_positives: u64,
}

/// A corner of the receiver operating characteristic (ROC) curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RocPoint {
    /// False positive rate: the share of the clients that stayed that are predicted to leave.
    pub false_positive_rate: f64,
    /// True positive rate: the share of the clients that left that are predicted to leave.
    pub true_positive_rate: f64,
}

/// A point of the precision–recall curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrecisionRecallPoint {
    /// The share of the clients predicted to leave that left; 1 at the first point, where no client is predicted to
    /// leave.
    pub precision: f64,
    /// The share of the clients that left that are predicted to leave.
    pub recall: f64,
}

impl Ranking {
    /// Sorts and counts the pairs, in O(n log n). `None` also if all clients left or all stayed, because then nothing
    /// can be ranked.
    pub fn new(pairs: &[Pair]) -> Option<Self> {
        Self::of_scores(are_probabilities(pairs).then_some(pairs)?)
    }

    /// Does the same for pairs with any score instead of a probability. `None` also if a score is not a number.
    pub fn of_scores(pairs: &[Pair]) -> Option<Self> {
        let sorted = sorted(pairs)?;
        let mut steps: Vec<Step> = Vec::new();
        let (mut true_positives, mut false_positives) = (0, 0);
        for tied in sorted.chunk_by(|a, b| a.0 == b.0).rev() {
            let left = tied.iter().filter(|(_, left)| *left).count() as u64;
            true_positives += left;
            false_positives += tied.len() as u64 - left;
            steps.push(Step { true_positives, false_positives });
        }
        (true_positives > 0 && false_positives > 0).then_some(Self { steps })
    }

    /// Returns the area under the ROC curve: the probability that a client that left had a higher probability than one
    /// that stayed, with ties counted half. Equals scikit-learn's `roc_auc_score`.
    pub fn auc(&self) -> f64 {
        let (left, stayed) = self.totals();
        let mut twice_area = 0u128; // integers, so that rounding errors do not add up
        let mut before = (0, 0);
        for step in &self.steps {
            let height = u128::from(before.0 + step.true_positives);
            twice_area += height * u128::from(step.false_positives - before.1);
            before = (step.true_positives, step.false_positives);
        }
        twice_area as f64 / (2.0 * left * stayed)
    }

    /// Returns the ROC curve from (0, 0) to (1, 1), like scikit-learn's `roc_curve`. A point between two equal steps is
    /// left out, which does not change the curve.
    pub fn roc(&self) -> Vec<RocPoint> {
        let (left, stayed) = self.totals();
        let origin = RocPoint { false_positive_rate: 0.0, true_positive_rate: 0.0 };
        let is_corner = |i: usize| {
            let Some([before, here, after]) = i.checked_sub(1).and_then(|start| self.steps.get(start..start + 3))
            else {
                return true;
            };
            here.true_positives - before.true_positives != after.true_positives - here.true_positives
                || here.false_positives - before.false_positives != after.false_positives - here.false_positives
        };
        let corners = self.steps.iter().enumerate().filter(|(i, _)| is_corner(*i)).map(|(_, step)| RocPoint {
            false_positive_rate: step.false_positives as f64 / stayed,
            true_positive_rate: step.true_positives as f64 / left,
        });
        std::iter::once(origin).chain(corners).collect()
    }

    /// Returns the precision–recall curve with increasing recall from 0 to 1: scikit-learn's `precision_recall_curve`
    /// in reverse order.
    pub fn precision_recall(&self) -> Vec<PrecisionRecallPoint> {
        let origin = PrecisionRecallPoint { precision: 1.0, recall: 0.0 };
        let (left, _) = self.totals();
        let points = self.steps.iter().map(|step| PrecisionRecallPoint {
            precision: step.precision(),
            recall: step.true_positives as f64 / left,
        });
        std::iter::once(origin).chain(points).collect()
    }

    /// Returns the average precision Σ (recallᵢ − recallᵢ₋₁) precisionᵢ over the thresholds, without interpolation.
    /// Equals scikit-learn's `average_precision_score`.
    pub fn average_precision(&self) -> f64 {
        let (mut sum, mut before) = (0.0, 0);
        for step in &self.steps {
            sum += (step.true_positives - before) as f64 * step.precision();
            before = step.true_positives;
        }
        sum / self.totals().0
    }

    /// Returns the number of clients that left and the number of clients that stayed.
    fn totals(&self) -> (f64, f64) {
        self.steps.last().map_or((0.0, 0.0), |all| (all.true_positives as f64, all.false_positives as f64))
    }
}

impl Step {
    fn precision(&self) -> f64 {
        self.true_positives as f64 / (self.true_positives + self.false_positives) as f64
    }
}

/// Returns the Brier score: the mean squared difference between probability and outcome, from 0 (best) to 1 (Brier
/// 1950).
pub fn brier(pairs: &[Pair]) -> Option<f64> {
    let squares = || pairs.iter().map(|(p, left)| (p - f64::from(*left)).powi(2)).sum::<f64>();
    are_probabilities(pairs).then(|| squares() / pairs.len() as f64)
}

/// A group of clients with similar probabilities, for the comparison of predicted and observed rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationBin {
    /// Number of clients in the bin.
    pub clients: u64,
    /// Number of these clients that left. [`crate::interval::proportion`] gives the interval of the rate.
    pub left: u64,
    /// Mean of the clients' predicted probabilities.
    pub predicted: f64,
    /// Share of the clients that left.
    pub observed: f64,
}

/// Compares predicted and observed rates in up to `bins` bins of about equal count, in order of probability: the bins
/// of scikit-learn's `calibration_curve(strategy="quantile")`. The bins have equal counts because most probabilities
/// may be small, and bins of equal width would then be empty. Ties stay together, so there may be fewer bins; none is
/// empty.
pub fn calibration(pairs: &[Pair], bins: usize) -> Option<Vec<CalibrationBin>> {
    let sorted = sorted(are_probabilities(pairs).then_some(pairs)?)?;
    let probabilities: Vec<f64> = sorted.iter().map(|pair| pair.0).collect();
    let mut calibrated = Vec::with_capacity(bins);
    let mut start = 0;
    for bin in 1..=bins {
        let end = match bin == bins {
            true => sorted.len(),
            false => {
                let edge = quantile::linear(&probabilities, bin, bins);
                probabilities.partition_point(|p| *p <= edge)
            }
        };
        let members = &sorted[start..end];
        start = end;
        if members.is_empty() {
            continue;
        }
        let clients = members.len() as u64;
        let left = members.iter().filter(|(_, left)| *left).count() as u64;
        let predicted = members.iter().map(|(p, _)| p).sum::<f64>() / clients as f64;
        calibrated.push(CalibrationBin { clients, left, predicted, observed: left as f64 / clients as f64 });
    }
    Some(calibrated)
}

/// Returns the pairs in order of increasing score. `None` if there is no pair or a score is not a number.
fn sorted(pairs: &[Pair]) -> Option<Vec<Pair>> {
    if pairs.is_empty() || pairs.iter().any(|(score, _)| score.is_nan()) {
        return None;
    }
    let mut sorted = pairs.to_vec();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    Some(sorted)
}

fn are_probabilities(pairs: &[Pair]) -> bool {
    !pairs.is_empty() && pairs.iter().all(|(p, _)| (0.0..=1.0).contains(p))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Creates random pairs with at most `levels` distinct probabilities; few levels give ties.
    fn random_pairs(seed: u64, n: usize, levels: u64) -> Vec<Pair> {
        let mut random = Random::new(seed);
        (0..n)
            .map(|_| {
                let p = random.below(levels) as f64 / levels as f64;
                (p, random.uniform() < p)
            })
            .collect()
    }

    /// Computes the AUC by its definition: compares every client that left with every client that stayed.
    fn auc_by_comparing(pairs: &[Pair]) -> f64 {
        let of = |class| pairs.iter().filter(move |pair| pair.1 == class).map(|pair| pair.0);
        let comparisons = of(true).flat_map(|l| of(false).map(move |s| (l, s)));
        let (wins, all) = comparisons.fold((0.0, 0.0), |(wins, all), (l, s)| {
            (
                wins + if l > s {
                    1.0
                } else if l == s {
                    0.5
                } else {
                    0.0
                },
                all + 1.0,
            )
        });
        wins / all
    }

    #[test]
    fn auc_is_the_share_of_rightly_ordered_pairs_and_mirrors() {
        for seed in 0..50 {
            let pairs = random_pairs(seed, 100, [2, 7, 1000][seed as usize % 3]);
            let Some(ranking) = Ranking::new(&pairs) else { continue };
            assert!((ranking.auc() - auc_by_comparing(&pairs)).abs() < 1e-12);
            let swapped: Vec<Pair> = pairs.iter().map(|(p, left)| (*p, !left)).collect();
            assert!((Ranking::new(&swapped).unwrap().auc() - (1.0 - ranking.auc())).abs() < 1e-12);
            let reversed: Vec<Pair> = pairs.iter().rev().copied().collect();
            assert_eq!(Ranking::new(&reversed).unwrap().auc(), ranking.auc());
        }
    }

    #[test]
    fn curves_rise_from_nobody_called_to_everybody() {
        for seed in 0..20 {
            let pairs = random_pairs(seed, 300, [5, 1000][seed as usize % 2]);
            let ranking = Ranking::new(&pairs).unwrap();
            let roc = ranking.roc();
            let rates = |point: &RocPoint| (point.false_positive_rate, point.true_positive_rate);
            assert_eq!((rates(&roc[0]), rates(&roc[roc.len() - 1])), ((0.0, 0.0), (1.0, 1.0)));
            let area: f64 = roc
                .windows(2)
                .map(|w| {
                    (w[1].false_positive_rate - w[0].false_positive_rate)
                        * (w[0].true_positive_rate + w[1].true_positive_rate)
                        / 2.0
                })
                .sum();
            assert!((area - ranking.auc()).abs() < 1e-12);
            let curve = ranking.precision_recall();
            assert!(curve.windows(2).all(|w| w[0].recall <= w[1].recall));
            assert_eq!((curve[0].recall, curve[curve.len() - 1].recall), (0.0, 1.0));
        }
    }

    #[test]
    fn perfect_inverted_and_uninformative() {
        let auc = |pairs: &[Pair]| Ranking::new(pairs).unwrap().auc();
        assert_eq!(auc(&[(0.9, true), (0.1, false)]), 1.0);
        assert_eq!(auc(&[(0.1, true), (0.9, false)]), 0.0);
        assert_eq!(auc(&[(0.5, true), (0.5, false), (0.5, false)]), 0.5);
        assert_eq!(Ranking::new(&[(0.9, true), (0.1, false)]).unwrap().average_precision(), 1.0);
    }

    #[test]
    fn nothing_one_class_and_no_probability() {
        for pairs in [vec![], vec![(0.4, true)], vec![(0.4, false), (0.2, false)], vec![(f64::NAN, true), (0.2, false)]]
        {
            assert!(Ranking::new(&pairs).is_none(), "{pairs:?}");
        }
        assert!(Ranking::of_scores(&[(f64::NAN, true), (0.2, false)]).is_none());
        assert!(Ranking::new(&[(7.0, true), (-3.0, false)]).is_none());
        let scores = [(7.0, true), (-0.0, true), (0.0, false), (f64::NEG_INFINITY, false)];
        assert_eq!(Ranking::of_scores(&scores).unwrap().auc(), 0.875);
        assert_eq!((brier(&[]), calibration(&[], 10)), (None, None));
        assert_eq!((brier(&[(1.5, true)]), brier(&[(f64::NAN, true)])), (None, None));
        assert_eq!(brier(&[(0.5, true)]), Some(0.25)); // one class is sufficient
    }

    #[test]
    fn calibration_keeps_every_client_and_keeps_ties_together() {
        let one = CalibrationBin { clients: 3, left: 1, predicted: 0.5, observed: 1.0 / 3.0 };
        assert_eq!(calibration(&[(0.5, true), (0.5, false), (0.5, false)], 10).unwrap(), [one]);
        for seed in 0..20 {
            let pairs = random_pairs(seed, 500, [3, 40, 100_000][seed as usize % 3]);
            let bins = calibration(&pairs, 10).unwrap();
            assert_eq!(bins.iter().map(|bin| bin.clients).sum::<u64>(), 500);
            assert!(bins.len() <= 10 && bins.windows(2).all(|w| w[0].predicted < w[1].predicted));
        }
        let distinct = calibration(&random_pairs(1, 1000, 1 << 40), 10).unwrap();
        assert!(distinct.len() == 10 && distinct.iter().all(|bin| bin.clients == 100));
    }

    #[test]
    fn a_million_rows() {
        let pairs = random_pairs(1, 1_000_000, 1 << 40);
        let ranking = Ranking::new(&pairs).unwrap();
        assert!((ranking.auc() - 5.0 / 6.0).abs() < 0.002); // uniform and calibrated probabilities
        assert!((brier(&pairs).unwrap() - 1.0 / 6.0).abs() < 0.001);
        assert!(calibration(&pairs, 10).unwrap().iter().all(|bin| (bin.predicted - bin.observed).abs() < 0.01));
    }
}
