//! The Kolmogorov–Smirnov (KS) test: the largest difference between two distribution functions.

use serde::{Deserialize, Serialize};

use super::{Method, PERMUTATIONS, permutation, permutation_p_value};
use crate::distribution::Distribution;
use crate::random::Random;
use crate::sketch::Sketch;
use crate::special::kolmogorov_survival;

/// Largest total number of values for which the p-value is computed by permutation, which then takes milliseconds.
const LARGEST_PERMUTED: u64 = 1000;

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
    let kept = Distribution::of(training.quantiles.iter().copied().map(Some));
    test(&kept, training.n, training.resolution(), new, seed)
}

/// Compares two samples. Ties are allowed.
///
/// Up to 1,000 values in total, the p-value is computed by permutation and is valid whatever the ties. Beyond, it is
/// that of the Kolmogorov distribution with a correction for small samples, within 0.0002 of SciPy's
/// `ks_2samp(method="asymp")` if n·m / (n + m) is at least 100. This p-value holds for values without ties; with ties
/// it is too large rather than too small.
///
/// `None` if a sample has no value.
pub fn two_samples(a: &Distribution, b: &Distribution, seed: u64) -> Option<KolmogorovSmirnov> {
    test(a, a.n(), 0.0, b, seed)
}

/// Compares `b` with `n` values of which `a` is the distribution, up to a difference of `resolution`.
fn test(a: &Distribution, n: u64, resolution: f64, b: &Distribution, seed: u64) -> Option<KolmogorovSmirnov> {
    let (kept, m) = (a.n(), b.n());
    if kept == 0 || m == 0 {
        return None;
    }
    let gap = largest_gap(paired(a, b), kept, m);
    let statistic = gap as f64 / (kept as f64 * m as f64);
    if resolution > 0.0 || n + m > LARGEST_PERMUTED {
        let p_value = asymptotic(statistic - resolution, n as f64, m as f64);
        return Some(KolmogorovSmirnov { statistic, p_value, method: Method::Kolmogorov });
    }
    let counts: Vec<(u64, u64)> = paired(a, b).collect();
    let mut random = Random::new(seed);
    let as_far = (0..PERMUTATIONS).filter(|_| largest_gap(permutation(&counts, &mut random), n, m) >= gap).count();
    let p_value = permutation_p_value(as_far);
    Some(KolmogorovSmirnov { statistic, p_value, method: Method::Permutation })
}

/// Returns the counts of each distinct value of two distributions, in ascending order of the values.
fn paired<'a>(a: &'a Distribution, b: &'a Distribution) -> impl Iterator<Item = (u64, u64)> {
    let (mut a, mut b) = (a.values.iter().peekable(), b.values.iter().peekable());
    std::iter::from_fn(move || {
        let next = [a.peek(), b.peek()].into_iter().flatten().map(|(value, _)| *value).min_by(f64::total_cmp)?;
        let count_of_a = a.next_if(|(value, _)| *value == next).map_or(0, |(_, count)| *count);
        let count_of_b = b.next_if(|(value, _)| *value == next).map_or(0, |(_, count)| *count);
        Some((count_of_a, count_of_b))
    })
}

/// Returns n·m times the largest difference between the shares of values up to any x. `counts` are those of [`paired`].
/// The result is an integer, so equal statistics compare as equal.
fn largest_gap(counts: impl Iterator<Item = (u64, u64)>, n: u64, m: u64) -> u128 {
    let (mut up_to_a, mut up_to_b, mut largest) = (0, 0, 0);
    for (a, b) in counts {
        up_to_a += a;
        up_to_b += b;
        largest = largest.max((u128::from(up_to_a) * u128::from(m)).abs_diff(u128::from(up_to_b) * u128::from(n)));
    }
    largest
}

/// Returns the asymptotic p-value for samples of n and m values. They are equivalent to one sample of n·m / (n + m)
/// values compared with a known distribution. This number is rounded to an integer, as in SciPy.
fn asymptotic(statistic: f64, n: f64, m: f64) -> f64 {
    kolmogorov_survival(statistic.max(0.0), (n * m / (n + m)).round().max(1.0))
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
    fn the_statistic_is_that_of_the_definition_and_symmetric() {
        let mut random = Random::new(1);
        for round in 0..100 {
            let levels = [1, 3, 50, 1 << 40][round % 4];
            let (n, m) = (1 + random.below(40) as usize, 1 + random.below(40) as usize);
            let (a, b) = (values(&mut random, n, levels), values(&mut random, m, levels));
            let share = |of: &[f64], x: f64| of.iter().filter(|v| **v <= x).count() as f64 / of.len() as f64;
            let plain = a.iter().chain(&b).map(|x| (share(&a, *x) - share(&b, *x)).abs()).fold(0.0, f64::max);
            let (one, other) =
                (two_samples(&known(&a), &known(&b), 1).unwrap(), two_samples(&known(&b), &known(&a), 1).unwrap());
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
                    two_samples(&known(&a), &known(&b), *seed).unwrap().p_value <= 0.05
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
            let (near, exact) =
                (kolmogorov_smirnov(&sketch, &known(&new), 1), two_samples(&known(&training), &known(&new), 1));
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
            let permuted = two_samples(&known(&a), &known(&b), 1).unwrap();
            let asymptotic = asymptotic(permuted.statistic, 500.0, 400.0);
            assert!((permuted.p_value - asymptotic).abs() < 0.05, "{permuted:?} {asymptotic}");
        }
    }

    #[test]
    fn nothing_one_constant_and_disjoint() {
        assert_eq!(
            (two_samples(&known(&[]), &known(&[1.0]), 1), two_samples(&known(&[1.0]), &known(&[f64::NAN]), 1)),
            (None, None)
        );
        let one = two_samples(&known(&[1.0]), &known(&[2.0]), 1).unwrap();
        assert_eq!((one.statistic, one.p_value), (1.0, 1.0));
        let constant = two_samples(&known(&[3.0; 40]), &known(&[3.0; 9]), 1).unwrap();
        assert_eq!((constant.statistic, constant.p_value), (0.0, 1.0));
        let disjoint = two_samples(&known(&[3.0; 40]), &known(&[4.0; 30]), 1).unwrap();
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
        let same = two_samples(&known(&a), &known(&b), 1).unwrap();
        assert!(same.statistic < 0.003 && same.p_value > 0.001, "{same:?}");
    }
}
