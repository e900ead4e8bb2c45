//! The population stability index (PSI): how differently two sets of clients are distributed over the same bins.

use serde::{Deserialize, Serialize};

use super::{Bins, Method};
use crate::distribution::Distribution;
use crate::sketch::Sketch;
use crate::special::{chi_square_quantile, chi_square_survival};

/// A population stability index, with its cut-off and p-value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Σ (new share − training share) ln(new share / training share), at least 0. It measures the size of the shift.
    pub index: f64,
    /// Value that the index exceeds with a probability of 5 % if nothing has shifted. It decreases with the number of
    /// clients. The customary limits 0.1 and 0.25 do not, and judge only the size of the shift.
    pub cutoff: f64,
    /// Probability of this index or a larger one if nothing has shifted.
    pub p_value: f64,
    /// Method by which the cut-off and the p-value were computed.
    pub method: Method,
}

/// Compares new values with the training values, over the bins of their sketch and one more bin for missing values.
///
/// `None` if there is no new value, not even a missing one.
pub fn stability(training: &Sketch, new: &Distribution, seed: u64) -> Option<Stability> {
    stability_of_counts(&training.training_tally(), &training.tally(new), seed)
}

/// Compares two sets of counts over the same bins, like [`stability`].
///
/// A bin that is empty on one side counts as half a client there, because the index would otherwise be infinite. A bin
/// that is empty on both sides is ignored. If nothing has shifted, the index divided by 1/n + 1/m is approximately
/// chi-square distributed, with one degree of freedom less than there are bins (Yurdakul & Naranjo, Statistical
/// properties of the population stability index, J. Risk Model Validation 14, 2020). If a bin has an expected count
/// below 5 on either side, permutation is used instead; it is exact for any counts, including ties and empty bins.
///
/// `None` if a side has no client, or the sides have different numbers of bins.
pub fn stability_of_counts(training: &[u64], new: &[u64], seed: u64) -> Option<Stability> {
    let bins = Bins::of(training, new)?;
    let index = index(&bins.counts, bins.n, bins.m);
    if !bins.are_filled() {
        return Some(by_permutation(index, &bins, seed));
    }
    let degrees = bins.counts.len() - 1;
    if degrees == 0 {
        return Some(Stability { index, cutoff: 0.0, p_value: 1.0, method: Method::ChiSquare });
    }
    let scale = 1.0 / bins.n as f64 + 1.0 / bins.m as f64;
    Some(Stability {
        index,
        cutoff: scale * chi_square_quantile(0.05, degrees),
        p_value: chi_square_survival(index / scale, degrees),
        method: Method::ChiSquare,
    })
}

/// Computes the index of bins with (training, new) counts, whose totals are `n` and `m`.
fn index(bins: &[(u64, u64)], n: u64, m: u64) -> f64 {
    let share = |count: u64, all: u64| if count == 0 { 0.5 / all as f64 } else { count as f64 / all as f64 };
    let terms = bins.iter().map(|(a, b)| (share(*a, n), share(*b, m)));
    terms.map(|(training, new)| (new - training) * (new / training).ln()).sum()
}

/// Computes cut-off and p-value by permutation: if nothing has shifted, any clients could be the new ones.
fn by_permutation(found: f64, bins: &Bins, seed: u64) -> Stability {
    let permuted = bins.permuted(seed, index);
    Stability { index: found, cutoff: permuted.cutoff(), p_value: permuted.p_value(found), method: Method::Permutation }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn values(random: &mut Random, n: usize, levels: u64) -> Vec<Option<f64>> {
        (0..n).map(|_| (random.below(20) > 0).then(|| random.below(levels) as f64)).collect()
    }

    #[test]
    fn without_a_shift_one_alarm_in_twenty() {
        // Few and many new clients; predictors with few and with many distinct values.
        for (n, m, levels, method) in [
            (2000, 1000, 1 << 40, Method::ChiSquare),
            (1000, 1000, 3, Method::ChiSquare),
            (300, 20, 1 << 40, Method::Permutation),
            (40, 15, 4, Method::Permutation),
        ] {
            let mut random = Random::new(m as u64);
            let (mut alarms, mut over, rounds) = (0, 0, 600);
            for seed in 0..rounds {
                let training = Sketch::of(values(&mut random, n, levels)).unwrap();
                let found = stability(&training, &Distribution::of(values(&mut random, m, levels)), seed).unwrap();
                assert_eq!(found.method, method);
                alarms += usize::from(found.p_value <= 0.05);
                over += usize::from(found.index > found.cutoff);
            }
            // 30 ± 5.3 are expected. Permutations of few clients have few distinct outcomes and may give fewer.
            let fewest = if method == Method::ChiSquare { 15 } else { 8 };
            assert!(
                (fewest..=46).contains(&alarms) && (fewest..=46).contains(&over),
                "{n} {m} {levels}: {alarms} {over}"
            );
        }
    }

    #[test]
    fn a_shift_is_seen() {
        let mut random = Random::new(4);
        let training = Sketch::of((0..5000).map(|_| Some(random.below(1000) as f64))).unwrap();
        let shifted = Distribution::of((0..400).map(|_| Some(150.0 + random.below(1000) as f64)));
        let found = stability(&training, &shifted, 1).unwrap();
        assert!(found.p_value < 1e-6 && found.index > found.cutoff);
        let few = stability(&training, &Distribution::of([Some(2000.0); 6]), 1).unwrap();
        assert_eq!((few.method, few.p_value), (Method::Permutation, 1.0 / 2001.0));
        let missing = stability(&training, &Distribution::of([None; 10]), 1).unwrap();
        assert!(missing.p_value < 0.001 && missing.index > 1.0);
    }

    #[test]
    fn a_constant_predictor_that_moves_is_seen() {
        let training = Sketch::of(vec![Some(3.0); 500]).unwrap();
        let of = |value: f64| stability(&training, &Distribution::of([Some(value); 50]), 1).unwrap();
        assert_eq!(of(3.0), Stability { index: 0.0, cutoff: 0.0, p_value: 1.0, method: Method::ChiSquare });
        for moved in [2.0, 4.0] {
            assert!(of(moved).p_value < 0.001 && of(moved).index > 5.0);
        }
    }

    #[test]
    fn both_methods_agree_where_both_are_right() {
        let (training, new) = ([100, 120, 90, 110], [60, 40, 55, 62]);
        let exact = stability_of_counts(&training, &new, 1).unwrap();
        let permuted = by_permutation(exact.index, &Bins::of(&training, &new).unwrap(), 1);
        assert_eq!(exact.method, Method::ChiSquare);
        assert!((exact.p_value - permuted.p_value).abs() < 0.03, "{exact:?} {permuted:?}");
        assert!((exact.cutoff / permuted.cutoff - 1.0).abs() < 0.15);
    }

    #[test]
    fn nothing_one_client_and_equal_shares() {
        assert_eq!(stability_of_counts(&[], &[], 1), None);
        assert_eq!(stability_of_counts(&[5, 5], &[0, 0], 1), None);
        assert_eq!(stability_of_counts(&[0, 0], &[5, 5], 1), None);
        assert_eq!(stability_of_counts(&[5, 5], &[1], 1), None);
        assert_eq!(stability_of_counts(&[70, 30], &[140, 60], 1).unwrap().index, 0.0);
        let one = stability_of_counts(&[0, 900], &[1, 0], 1).unwrap();
        assert!(one.index.is_finite() && one.method == Method::Permutation && one.p_value < 0.01);
        assert_eq!(stability_of_counts(&[1], &[1], 1).unwrap().p_value, 1.0);
        let repeated = stability_of_counts(&[9, 4, 1], &[2, 3, 3], 5);
        assert_eq!(repeated, stability_of_counts(&[9, 4, 1], &[2, 3, 3], 5));
    }

    #[test]
    fn the_index_is_symmetric() {
        let mut random = Random::new(9);
        for _ in 0..200 {
            let [a, b] = [0; 2].map(|_| [0; 6].map(|_| random.below(40)));
            let (Some(one), Some(other)) = (stability_of_counts(&a, &b, 1), stability_of_counts(&b, &a, 1)) else {
                continue;
            };
            assert!((one.index - other.index).abs() < 1e-12 && one.index >= 0.0);
        }
    }

    #[test]
    fn ten_million_clients_and_a_rare_bin() {
        let found = stability_of_counts(&[5_000_000, 5_000_000, 3], &[5_000_000, 5_000_000, 2], 1).unwrap();
        assert!(found.method == Method::Permutation && found.p_value > 0.5, "{found:?}");
    }
}
