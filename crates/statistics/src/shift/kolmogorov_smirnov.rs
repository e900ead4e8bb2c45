//! The Kolmogorov–Smirnov (KS) test: the largest difference between two distribution functions.

use serde::{Deserialize, Serialize};

use super::{Method, PERMUTATIONS, permutation_p_value};
use crate::distribution::Distribution;
use crate::random::Random;
use crate::sketch::Sketch;
use crate::special::kolmogorov_survival;

/// Largest total number of values for which the p-value is computed by permutation, which then takes milliseconds.
const LARGEST_PERMUTED: usize = 1000;

/// The result of a Kolmogorov–Smirnov test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KolmogorovSmirnov {
    /// KS statistic: the largest difference between the shares of values up to any x, from 0 to 1. It measures the size
    /// of the shift.
    pub statistic: f64,
    /// Probability of this KS statistic or a larger one if nothing has shifted.
    pub p_value: f64,
    /// Method by which the p-value was computed.
    pub method: Method,
}

/// Compares new values with a sketch of the training values. Missing values are left out.
///
/// The result is exact if the sketch contains every value. Otherwise the statistic is off by at most 1/400
/// ([`Sketch::resolution`]), and the p-value is that of the smallest possible statistic, so the coarseness of the
/// sketch never raises an alarm.
///
/// `None` if no new value is known.
pub fn kolmogorov_smirnov(training: &Sketch, new: &Distribution, seed: u64) -> Option<KolmogorovSmirnov> {
    let (kept, m) = (Distribution::of(training.quantiles.iter().copied().map(Some)), new.n());
    let distance = distance(&kept, new)?;
    if training.resolution() == 0.0 && training.n + m <= LARGEST_PERMUTED as u64 {
        return two_samples(&training.quantiles, &new.expanded(), seed);
    }
    let p_value = asymptotic(distance - training.resolution(), training.n as f64, m as f64);
    Some(KolmogorovSmirnov { statistic: distance, p_value, method: Method::Kolmogorov })
}

/// Compares two samples, in any order. Ties are allowed.
///
/// Up to 1,000 values in total, the p-value is computed by permutation and is valid whatever the ties. Beyond, it is
/// that of the Kolmogorov distribution with a correction for small samples, within 0.0002 of SciPy's
/// `ks_2samp(method="asymp")` if n·m / (n + m) is at least 100. This p-value holds for values without ties; with ties
/// it is too large rather than too small.
///
/// `None` if a sample has no finite value.
pub fn two_samples(a: &[f64], b: &[f64], seed: u64) -> Option<KolmogorovSmirnov> {
    let pooled = Pooled::of(a, b)?;
    let distance = pooled.distance();
    if pooled.ties_end.len() > LARGEST_PERMUTED {
        let p_value = asymptotic(distance, pooled.n as f64, pooled.m as f64);
        return Some(KolmogorovSmirnov { statistic: distance, p_value, method: Method::Kolmogorov });
    }
    let mut random = Random::new(seed);
    let as_far = (0..PERMUTATIONS).filter(|_| pooled.permuted(&mut random) >= pooled.scaled_distance).count();
    Some(KolmogorovSmirnov { statistic: distance, p_value: permutation_p_value(as_far), method: Method::Permutation })
}

/// Returns the largest difference between the shares of values up to any x; `None` if either distribution has no value.
fn distance(a: &Distribution, b: &Distribution) -> Option<f64> {
    let (n, m) = (a.n(), b.n());
    if n == 0 || m == 0 {
        return None;
    }
    let (mut of_a, mut of_b, mut largest) = (0, 0, 0);
    let (mut left, mut right) = (a.values.iter().peekable(), b.values.iter().peekable());
    while let Some(at) = [left.peek(), right.peek()].into_iter().flatten().map(|next| next.0).min_by(f64::total_cmp) {
        of_a += left.next_if(|next| next.0 == at).map_or(0, |next| next.1);
        of_b += right.next_if(|next| next.0 == at).map_or(0, |next| next.1);
        largest = largest.max((u128::from(of_a) * u128::from(m)).abs_diff(u128::from(of_b) * u128::from(n)));
    }
    Some(largest as f64 / (n as f64 * m as f64))
}

/// Returns the asymptotic p-value for samples of n and m values. They are equivalent to one sample of n·m / (n + m)
/// values compared with a known distribution. This number is rounded to an integer, as in SciPy.
fn asymptotic(distance: f64, n: f64, m: f64) -> f64 {
    kolmogorov_survival(distance.max(0.0), (n * m / (n + m)).round().max(1.0))
}

/// Two samples of `n` and `m` values, pooled in ascending order.
struct Pooled {
    n: u64,
    m: u64,
    /// For each pooled value, whether the next value is larger.
    ties_end: Vec<bool>,
    /// KS statistic times n·m: an integer, so equal statistics compare as equal.
    scaled_distance: u128,
}

impl Pooled {
    fn of(a: &[f64], b: &[f64]) -> Option<Self> {
        let marked = |values: &[f64], of_a| -> Vec<(f64, bool)> {
            values.iter().filter(|value| value.is_finite()).map(|value| (*value, of_a)).collect()
        };
        let (mut values, of_b) = (marked(a, true), marked(b, false));
        let (n, m) = (values.len() as u64, of_b.len() as u64);
        if n == 0 || m == 0 {
            return None;
        }
        values.extend(of_b);
        values.sort_unstable_by(|x, y| x.0.total_cmp(&y.0));
        let larger = values.windows(2).map(|pair| pair[0].0 < pair[1].0);
        let ties_end = larger.chain([true]).collect();
        let mut pooled = Self { n, m, ties_end, scaled_distance: 0 };
        let mut of_a = values.iter().map(|value| value.1);
        pooled.scaled_distance = pooled.largest_gap(|_, _| of_a.next().unwrap_or_default());
        Some(pooled)
    }

    fn distance(&self) -> f64 {
        self.scaled_distance as f64 / (self.n as f64 * self.m as f64)
    }

    /// Returns the scaled statistic after the pooled values have been assigned to the two samples at random. Every set
    /// of `n` values is equally likely (selection sampling: Knuth, The Art of Computer Programming 2, §3.4.2, algorithm
    /// S).
    fn permuted(&self, random: &mut Random) -> u128 {
        self.largest_gap(|still_a, still_all| random.below(still_all) < still_a)
    }

    /// Returns the largest scaled difference over the pooled values. `is_of_a` decides whether the next value belongs
    /// to the first sample. Its arguments are the number of values of the first sample, and of both samples, that are
    /// still to come.
    fn largest_gap(&self, mut is_of_a: impl FnMut(u64, u64) -> bool) -> u128 {
        let (mut of_a, mut of_b, mut largest) = (0, 0, 0);
        for tie_ends in &self.ties_end {
            match is_of_a(self.n - of_a, self.n - of_a + self.m - of_b) {
                true => of_a += 1,
                false => of_b += 1,
            }
            if *tie_ends {
                let gap = (u128::from(of_a) * u128::from(self.m)).abs_diff(u128::from(of_b) * u128::from(self.n));
                largest = largest.max(gap);
            }
        }
        largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(random: &mut Random, n: usize, levels: u64) -> Vec<f64> {
        (0..n).map(|_| random.below(levels) as f64).collect()
    }

    fn known(values: &[f64]) -> Distribution {
        Distribution::of(values.iter().copied().map(Some))
    }

    #[test]
    fn the_distance_is_that_of_the_definition_and_symmetric() {
        let mut random = Random::new(1);
        for round in 0..100 {
            let levels = [1, 3, 50, 1 << 40][round % 4];
            let (n, m) = (1 + random.below(40) as usize, 1 + random.below(40) as usize);
            let (a, b) = (values(&mut random, n, levels), values(&mut random, m, levels));
            let share = |of: &[f64], x: f64| of.iter().filter(|v| **v <= x).count() as f64 / of.len() as f64;
            let plain = a.iter().chain(&b).map(|x| (share(&a, *x) - share(&b, *x)).abs()).fold(0.0, f64::max);
            let (one, other) = (two_samples(&a, &b, 1).unwrap(), two_samples(&b, &a, 1).unwrap());
            assert!((one.statistic - plain).abs() < 1e-12);
            assert_eq!(one.statistic, other.statistic);
            assert!((one.p_value - other.p_value).abs() < 0.08);
        }
    }

    #[test]
    fn without_a_shift_at_most_one_alarm_in_twenty() {
        for (n, m, levels, fewest) in
            [(30, 20, 1 << 40, 8), (100, 60, 4, 5), (2000, 700, 1 << 40, 15), (2000, 700, 4, 0)]
        {
            let mut random = Random::new(n as u64);
            let alarms = (0..600)
                .filter(|seed| {
                    let (a, b) = (values(&mut random, n, levels), values(&mut random, m, levels));
                    two_samples(&a, &b, *seed).unwrap().p_value <= 0.05
                })
                .count();
            assert!((fewest..=46).contains(&alarms), "{n} {m} {levels}: {alarms}"); // 30 ± 5.3 are expected
        }
    }

    #[test]
    fn a_sketch_is_as_near_as_it_says_and_raises_no_alarm_of_its_own() {
        let mut random = Random::new(2);
        for (n, m, levels) in [(150, 90, 40), (700, 30, 1 << 40), (5000, 400, 300), (100_000, 50_000, 1 << 40)] {
            let training = values(&mut random, n, levels);
            let new: Vec<f64> = values(&mut random, m, levels).iter().map(|v| v * 1.1).collect();
            let sketch = Sketch::of(training.iter().copied().map(Some)).unwrap();
            let (near, exact) = (kolmogorov_smirnov(&sketch, &known(&new), 1), two_samples(&training, &new, 1));
            let (near, exact) = (near.unwrap(), exact.unwrap());
            assert!((near.statistic - exact.statistic).abs() <= sketch.resolution() + 1e-12, "{near:?} {exact:?}");
            if exact.method == Method::Kolmogorov {
                assert!(near.p_value >= exact.p_value - 1e-12);
            }
        }
    }

    #[test]
    fn permutation_and_asymptotic_p_values_agree() {
        let mut random = Random::new(3);
        for _ in 0..5 {
            let (a, b) = (values(&mut random, 500, 1 << 40), values(&mut random, 400, 1 << 40));
            let permuted = two_samples(&a, &b, 1).unwrap();
            let asymptotic = asymptotic(permuted.statistic, 500.0, 400.0);
            assert!((permuted.p_value - asymptotic).abs() < 0.05, "{permuted:?} {asymptotic}");
        }
    }

    #[test]
    fn nothing_one_constant_and_disjoint() {
        assert_eq!((two_samples(&[], &[1.0], 1), two_samples(&[1.0], &[f64::NAN], 1)), (None, None));
        let one = two_samples(&[1.0], &[2.0], 1).unwrap();
        assert_eq!((one.statistic, one.p_value), (1.0, 1.0));
        let constant = two_samples(&[3.0; 40], &[3.0; 9], 1).unwrap();
        assert_eq!((constant.statistic, constant.p_value), (0.0, 1.0));
        let disjoint = two_samples(&[3.0; 40], &[4.0; 30], 1).unwrap();
        assert_eq!((disjoint.statistic, disjoint.p_value), (1.0, 1.0 / 2001.0));
        let sketch = Sketch::of(vec![Some(3.0); 1000]).unwrap();
        assert_eq!(kolmogorov_smirnov(&sketch, &Distribution::of([None]), 1), None);
        assert_eq!(kolmogorov_smirnov(&sketch, &Distribution::of([Some(3.0), None]), 1).unwrap().p_value, 1.0);
        assert!(kolmogorov_smirnov(&sketch, &Distribution::of([Some(2.0); 20]), 1).unwrap().p_value < 1e-6);
    }

    #[test]
    fn a_million_values() {
        let mut random = Random::new(5);
        let (a, b) = (values(&mut random, 1_000_000, 1 << 40), values(&mut random, 1_000_000, 1 << 40));
        let same = two_samples(&a, &b, 1).unwrap();
        assert!(same.statistic < 0.003 && same.p_value > 0.001, "{same:?}");
    }
}
