//! Pearson's chi-square test of homogeneity: whether two sets of clients are distributed equally over the same levels.

use serde::{Deserialize, Serialize};

use super::{Bins, Method};
use crate::special::chi_square_survival;

/// The result of a chi-square test of homogeneity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChiSquare {
    /// Pearson's statistic: Σ (count − expected count)² / expected count, over both sides, without a correction for
    /// continuity.
    pub statistic: f64,
    /// Total variation distance: half the sum of the differences between the shares, from 0 to 1. It is the largest
    /// difference between the shares of any set of levels, as the KS statistic is for ranges of values. It measures
    /// the size of the shift and does not depend on the number of clients.
    pub distance: f64,
    /// Cramér's V: √(statistic / (n + m)), from 0 to 1. For the same shares it becomes smaller as the numbers of clients
    /// n and m become more unequal, so [`Self::distance`] compares better between datasets.
    pub cramers_v: f64,
    /// Probability of this statistic or a larger one if nothing has shifted.
    pub p_value: f64,
    /// Method by which the p-value was computed.
    pub method: Method,
}

/// Compares two sets of counts over the same levels, such as [`LevelSummary::training_tally`] and
/// [`LevelSummary::tally`].
///
/// A level that is empty on both sides is ignored. If each level has an expected count of at least 5 on both sides
/// (Cochran 1954), the statistic is approximately chi-square distributed, with one degree of freedom less than there are
/// levels. Otherwise the p-value is computed by permutation and is valid for any counts.
///
/// `None` if a side has no client, or the sides have different numbers of levels.
///
/// [`LevelSummary::training_tally`]: crate::levels::LevelSummary::training_tally
/// [`LevelSummary::tally`]: crate::levels::LevelSummary::tally
pub fn chi_square(training: &[u64], new: &[u64], seed: u64) -> Option<ChiSquare> {
    let bins = Bins::of(training, new)?;
    let (n, m) = (bins.n, bins.m);
    let statistic = statistic(&bins.counts, n, m);
    let share_differences = bins.counts.iter().map(|(a, b)| (*a as f64 / n as f64 - *b as f64 / m as f64).abs());
    let distance = (share_differences.sum::<f64>() / 2.0).min(1.0);
    let cramers_v = (statistic / (n + m) as f64).sqrt().min(1.0);
    let (p_value, method) = if !bins.are_filled() {
        (bins.permuted(seed, self::statistic).p_value(statistic), Method::Permutation)
    } else if bins.counts.len() == 1 {
        (1.0, Method::ChiSquare)
    } else {
        (chi_square_survival(statistic, bins.counts.len() - 1), Method::ChiSquare)
    };
    Some(ChiSquare { statistic, distance, cramers_v, p_value, method })
}

/// Computes the statistic of levels with (training, new) counts, whose totals are `n` and `m`. The two terms of a level
/// are combined: (a·m − b·n)² / ((a + b)·n·m).
fn statistic(counts: &[(u64, u64)], n: u64, m: u64) -> f64 {
    let (of_n, of_m) = (n as f64, m as f64);
    let terms = counts.iter().map(|&(a, b)| {
        let difference = (u128::from(a) * u128::from(m)).abs_diff(u128::from(b) * u128::from(n)) as f64;
        (difference / of_n) * (difference / of_m) / (a + b) as f64
    });
    terms.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Draws `clients` clients whose levels have the given weights.
    fn drawn(random: &mut Random, clients: u64, weights: &[u64]) -> Vec<u64> {
        let mut counts = vec![0; weights.len()];
        for _ in 0..clients {
            let mut rest = random.below(weights.iter().sum());
            let level = weights.iter().position(|weight| {
                let found = rest < *weight;
                rest = rest.saturating_sub(*weight);
                found
            });
            counts[level.unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn without_a_shift_one_alarm_in_twenty() {
        let (equal, skewed) = ([1; 8], [400, 200, 100, 40, 10, 1]);
        let many: Vec<u64> = (1..=100).collect();
        for (n, m, weights, method, rounds) in [
            (1000, 400, equal.as_slice(), Method::ChiSquare, 4000),
            (3000, 60, &equal, Method::ChiSquare, 4000), // expected counts of about 7
            (5000, 5000, &skewed[..5], Method::ChiSquare, 4000),
            (2000, 300, &skewed, Method::Permutation, 1500),
            (300, 25, &skewed, Method::Permutation, 1500),
            (60, 30, &equal, Method::Permutation, 1500),
            (4000, 200, &many, Method::Permutation, 500),
        ] {
            let mut random = Random::new(n ^ m);
            let (mut alarms, mut tests) = (0, 0);
            for seed in 0..rounds {
                let (training, new) = (drawn(&mut random, n, weights), drawn(&mut random, m, weights));
                let found = chi_square(&training, &new, seed).unwrap();
                if found.method == method {
                    tests += 1;
                    alarms += u32::from(found.p_value <= 0.05);
                }
            }
            assert!(tests * 10 > rounds as u32 * 9, "{n} {m}: {tests} of {rounds} by {method:?}");
            let share = f64::from(alarms) / f64::from(tests);
            // The rate must be 3 % to 5.5 %. A simulation may be off by three standard errors.
            let margin = (3.0 * (0.05 * 0.95 / f64::from(tests)).sqrt() - 0.005).max(0.0);
            assert!((0.03 - margin..=0.055 + margin).contains(&share), "{n} {m} {method:?}: {share}");
        }
    }

    #[test]
    fn both_methods_agree_where_both_are_right() {
        let bins = Bins::of(&[100, 120, 90, 110], &[60, 40, 55, 62]).unwrap();
        let exact = chi_square(&[100, 120, 90, 110], &[60, 40, 55, 62], 1).unwrap();
        let permuted = bins.permuted(1, statistic).p_value(exact.statistic);
        assert!(exact.method == Method::ChiSquare && (exact.p_value - permuted).abs() < 0.02, "{exact:?} {permuted}");
    }

    #[test]
    fn nothing_one_level_and_equal_shares() {
        assert_eq!(chi_square(&[], &[], 1), None);
        assert_eq!(chi_square(&[5, 5], &[0, 0], 1), None);
        assert_eq!(chi_square(&[0, 0], &[5, 5], 1), None);
        assert_eq!(chi_square(&[5, 5], &[1], 1), None);
        let same = ChiSquare { statistic: 0.0, distance: 0.0, cramers_v: 0.0, p_value: 1.0, method: Method::ChiSquare };
        assert_eq!(chi_square(&[500, 0], &[70, 0], 1), Some(same));
        assert_eq!(chi_square(&[70, 30], &[140, 60], 1), Some(same));
        let one = chi_square(&[1], &[1], 1).unwrap();
        assert_eq!(one, ChiSquare { method: Method::Permutation, ..same });
        let repeated = chi_square(&[9, 4, 1], &[2, 3, 3], 5);
        assert_eq!(repeated, chi_square(&[9, 4, 1], &[2, 3, 3], 5));
    }

    #[test]
    fn disjoint_levels_have_distance_one() {
        let disjoint = chi_square(&[60, 0, 0], &[0, 40, 20], 1).unwrap();
        assert!((disjoint.distance - 1.0).abs() < 1e-12, "{disjoint:?}");
        assert!((disjoint.cramers_v - 1.0).abs() < 1e-12 && disjoint.p_value < 1e-20);
        let few = chi_square(&[900_000, 0], &[0, 3], 1).unwrap();
        assert_eq!((few.distance, few.method, few.p_value), (1.0, Method::Permutation, 1.0 / 2001.0));
        assert!((few.cramers_v - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_distance_does_not_depend_on_the_number_of_clients_and_cramers_v_does() {
        let few = chi_square(&[50, 50], &[80, 20], 1).unwrap();
        let many = chi_square(&[500_000, 500_000], &[80, 20], 1).unwrap();
        assert!((few.distance - 0.3).abs() < 1e-12 && (many.distance - 0.3).abs() < 1e-12);
        assert!(few.cramers_v > 0.3 && many.cramers_v < 0.01);
    }

    #[test]
    fn the_statistic_is_symmetric_and_bounded() {
        let mut random = Random::new(9);
        for _ in 0..200 {
            let [a, b] = [0; 2].map(|_| [0; 6].map(|_| random.below(40)));
            let (Some(one), Some(other)) = (chi_square(&a, &b, 1), chi_square(&b, &a, 1)) else { continue };
            assert!((one.statistic - other.statistic).abs() < 1e-9 && one.distance == other.distance);
            assert!([one.distance, one.cramers_v, one.p_value].iter().all(|number| (0.0..=1.0).contains(number)));
        }
    }

    #[test]
    fn a_hundred_levels_and_huge_counts() {
        let training: Vec<u64> = (1..=100).map(|level| level * 10_000_000_000).collect();
        let same: Vec<u64> = training.iter().map(|count| count / 1000).collect();
        let none = chi_square(&training, &same, 1).unwrap();
        assert!(none.statistic == 0.0 && none.p_value == 1.0 && none.method == Method::ChiSquare, "{none:?}");
        let shifted: Vec<u64> = training.iter().rev().copied().collect();
        let found = chi_square(&training, &shifted, 1).unwrap();
        assert!(found.statistic.is_finite() && found.p_value == 0.0 && found.distance > 0.4, "{found:?}");
    }

    #[test]
    fn ten_million_clients_and_an_unseen_level() {
        let mut training: Vec<u64> = (1..=100).map(|level| level * 1980).collect();
        let mut new = training.clone();
        // 3 of 10 million: as rare as chance allows.
        training.push(0);
        new.push(3);
        let found = chi_square(&training, &new, 1).unwrap();
        assert!(found.method == Method::Permutation && found.p_value > 0.5, "{found:?}");
    }
}
