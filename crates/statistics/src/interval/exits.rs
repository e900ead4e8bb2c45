//! The number of called clients that will leave: a sum of independent events with known, different probabilities
//! (Poisson binomial distribution).

use serde::{Deserialize, Serialize};

use crate::special::{convolution, normal_cdf, probabilities};

/// Largest variance for which the distribution is computed exactly; with usual probabilities, this is several thousand
/// clients. Beyond it, the error of the refined normal approximation is less than 5e-5 in probability.
const LARGEST_EXACT_VARIANCE: f64 = 1000.0;

/// Probabilities below this are cut off at both ends of the distribution after each client. With 10⁶ clients the total
/// loss is 1e-14.
const NEGLIGIBLE: f64 = 1e-20;

/// The distribution of the number of clients that will leave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exits {
    /// Expected number, Σ pᵢ.
    pub expected: f64,
    /// Standard deviation of the number, √Σ pᵢ (1 − pᵢ).
    pub standard_deviation: f64,
    /// Lower end of the 95 % interval: the 2.5 % quantile of the number.
    pub low: u64,
    /// Upper end of the 95 % interval: the 97.5 % quantile of the number.
    pub high: u64,
}

/// Returns the distribution of the number of clients that leave, if each leaves with its own probability and
/// independently of the others. `probabilities` has one entry per client. For no clients the number is 0.
///
/// The probabilities are taken as exact. If the model is not calibrated ([`crate::ranking::calibration`]), or all
/// clients are affected by the same bad year, the number lies outside the interval more often. The distribution is
/// computed by adding one client after the other. For a variance over 1,000, it is the normal distribution with a
/// correction for the skewness (Volkova 1996; Hong, On computing the distribution function for the Poisson binomial
/// distribution, Comput. Stat. Data Anal. 59, 2013).
///
/// `None` if a probability is not a number from 0 to 1.
pub fn exits(probabilities: &[f64]) -> Option<Exits> {
    if !probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
        return None;
    }
    let expected: f64 = probabilities.iter().sum();
    let variance: f64 = probabilities.iter().map(|p| p * (1.0 - p)).sum();
    let [low, high] = if variance <= LARGEST_EXACT_VARIANCE {
        let cumulative = exact_cumulative(probabilities);
        [0.025, 0.975].map(|share| cumulative.partition_point(|below| *below < share) as u64)
    } else {
        let skewness = probabilities.iter().map(|p| p * (1.0 - p) * (1.0 - 2.0 * p)).sum::<f64>() / variance.powf(1.5);
        [0.025, 0.975].map(|share| {
            let (mut low, mut high) = (0, probabilities.len() as u64);
            while low < high {
                let middle = low + (high - low) / 2;
                match refined_normal(middle, expected, variance.sqrt(), skewness) < share {
                    true => low = middle + 1,
                    false => high = middle,
                }
            }
            low
        })
    };
    Some(Exits { expected, standard_deviation: variance.sqrt(), low, high })
}

/// Returns twice the smaller probability, at most 1, that as few or as many clients leave as `left`. The `bands` are numbers
/// of clients of similar probabilities with the sum of these.
///
/// In a band every client has the mean probability, which makes the number more variable than it is (Hoeffding, On the
/// distribution of the number of successes in independent trials, Ann. Math. Stat. 27, 1956). So with narrow bands the result
/// is slightly too large, but not too small.
pub(crate) fn p_value_of_exits(bands: &[(u64, f64)], left: u64) -> f64 {
    let bands: Vec<(u64, f64)> = bands.iter().filter(|(n, _)| *n > 0).map(|(n, sum)| (*n, sum / *n as f64)).collect();
    let sum_of = |term: fn(f64) -> f64| bands.iter().map(|(n, p)| *n as f64 * term(*p)).sum::<f64>();
    let (expected, variance) = (sum_of(|p| p), sum_of(|p| p * (1.0 - p)));
    let (lower, upper) = if variance <= LARGEST_EXACT_VARIANCE {
        let (mut density, mut first) = (vec![1.0], 0);
        for (n, p) in &bands {
            let (lowest, of_band) = binomial(*n, *p);
            (density, first) = (convolution(&density, &of_band), first + lowest);
        }
        let below = left.saturating_sub(first).min(density.len() as u64) as usize; // numbers smaller than `left`
        let through = (left + 1).saturating_sub(first).min(density.len() as u64) as usize;
        (density[..through].iter().sum::<f64>(), density[below..].iter().sum::<f64>())
    } else {
        let skewness = sum_of(|p| p * (1.0 - p) * (1.0 - 2.0 * p)) / variance.powf(1.5);
        let cumulative = |k| refined_normal(k, expected, variance.sqrt(), skewness).clamp(0.0, 1.0);
        (cumulative(left), 1.0 - left.checked_sub(1).map_or(0.0, cumulative))
    };
    (2.0 * lower.min(upper)).min(1.0)
}

/// Returns the smallest number and the probabilities of a binomial distribution, without far tails, whose probability is
/// below 1e-20.
fn binomial(n: u64, p: f64) -> (u64, Vec<f64>) {
    let mean = n as f64 * p;
    let reach = 12.0 * (mean * (1.0 - p)).sqrt() + 30.0;
    let (low, high) = ((mean - reach).max(0.0) as u64, ((mean + reach) as u64).min(n));
    let ratio = |k: u64| (n - k) as f64 / (k + 1) as f64 * (p / (1.0 - p));
    match p {
        p if p <= 0.0 => (0, vec![1.0]),
        p if p >= 1.0 => (n, vec![1.0]),
        _ => (low, probabilities(low, mean as u64, high, ratio)),
    }
}

/// Returns P(number ≤ k) for k = 0, 1, …, up to the k at which it is 1 except for rounding.
fn exact_cumulative(probabilities: &[f64]) -> Vec<f64> {
    let mut density = vec![1.0]; // probability of each number of exits among the clients so far
    let mut first = 0; // smaller numbers of exits have been cut off
    for p in probabilities {
        density.push(0.0);
        for k in (first + 1..density.len()).rev() {
            density[k] = density[k] * (1.0 - p) + density[k - 1] * p;
        }
        density[first] *= 1.0 - p;
        while density[first] < NEGLIGIBLE {
            density[first] = 0.0;
            first += 1;
        }
        while density.last().is_some_and(|last| *last < NEGLIGIBLE) {
            density.pop();
        }
    }
    let mut below = 0.0;
    for probability in &mut density {
        below += *probability;
        *probability = below;
    }
    density
}

/// Approximates P(number ≤ k) by Φ(x) + skewness (1 − x²) φ(x) / 6 at x = (k + ½ − expected) / standard deviation.
fn refined_normal(k: u64, expected: f64, standard_deviation: f64, skewness: f64) -> f64 {
    let x = (k as f64 + 0.5 - expected) / standard_deviation;
    let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
    normal_cdf(x) + skewness * (1.0 - x * x) * density / 6.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::special::ln_choose;

    fn random_probabilities(seed: u64, n: usize, highest: f64) -> Vec<f64> {
        let mut random = Random::new(seed);
        (0..n).map(|_| highest * random.uniform()).collect()
    }

    /// The same value from the distribution in which every client has a probability of its own.
    fn exact_p_value(probabilities: &[f64], left: u64) -> f64 {
        let cumulative = exact_cumulative(probabilities);
        let through = |k: u64| cumulative.get(k as usize).copied().unwrap_or(1.0);
        let upper = 1.0 - left.checked_sub(1).map_or(0.0, through);
        (2.0 * through(left).min(upper)).min(1.0)
    }

    #[test]
    fn a_p_value_from_bands_is_slightly_too_large() {
        for (seed, n) in [(1, 40), (2, 400), (3, 3_000)] {
            let probabilities = random_probabilities(seed, n, 1.0);
            let mut bands = [(0, 0.0); 50];
            for p in &probabilities {
                let band = &mut bands[(p * 50.0) as usize];
                *band = (band.0 + 1, band.1 + p);
            }
            let expected = probabilities.iter().sum::<f64>() as u64;
            let deviation = (n as f64 / 6.0).sqrt() as u64;
            for left in
                [0, expected - 3 * deviation, expected - deviation, expected, expected + 2 * deviation, n as u64]
            {
                let (ours, exact) = (p_value_of_exits(&bands, left), exact_p_value(&probabilities, left));
                assert!(ours >= exact - 1e-12 && ours <= 1.02 * exact + 1e-12, "{n} {left}: {ours}, exact {exact}");
            }
        }
    }

    #[test]
    fn a_p_value_of_many_clients_continues_that_of_few() {
        // Just below and above the variance from which the normal approximation is used.
        for left in [1_900, 1_950, 2_000, 2_080] {
            let [few, many] = [3_999u64, 4_001].map(|n| p_value_of_exits(&[(n, n as f64 / 2.0)], left));
            assert!((few - many).abs() < 0.03, "{left}: {few}, {many}");
        }
        assert_eq!(p_value_of_exits(&[], 0), 1.0);
        assert_eq!((p_value_of_exits(&[(5, 0.0)], 1), p_value_of_exits(&[(5, 5.0)], 5)), (0.0, 1.0));
        assert!(p_value_of_exits(&[(1_000_000_000, 3.0)], 3) > 0.9);
    }

    #[test]
    fn equal_probabilities_are_binomial() {
        for (n, p) in [(1, 0.3), (20, 0.5), (300, 0.04)] {
            let cumulative = exact_cumulative(&vec![p; n as usize]);
            let mut below = 0.0;
            for k in 0..=n {
                below += (ln_choose(n, k) + k as f64 * f64::ln(p) + (n - k) as f64 * f64::ln(1.0 - p)).exp();
                assert!((cumulative.get(k as usize).copied().unwrap_or(1.0) - below).abs() < 1e-12, "{n} {p} {k}");
            }
        }
    }

    #[test]
    fn both_methods_agree_where_the_method_changes() {
        for (seed, highest, n) in [(1, 1.0, 6000), (2, 0.1, 20_700), (3, 0.01, 200_000)] {
            let probabilities = random_probabilities(seed, n, highest);
            let (expected, variance) = probabilities.iter().fold((0.0, 0.0), |(e, v), p| (e + p, v + p * (1.0 - p)));
            assert!((variance - LARGEST_EXACT_VARIANCE).abs() < 50.0, "{variance}");
            let skewness: f64 = probabilities.iter().map(|p| p * (1.0 - p) * (1.0 - 2.0 * p)).sum();
            for (k, exact) in exact_cumulative(&probabilities).iter().enumerate() {
                let refined = refined_normal(k as u64, expected, variance.sqrt(), skewness / variance.powf(1.5));
                assert!((refined - exact).abs() < 5e-5, "{n} {k}: {refined} {exact}");
            }
        }
    }

    #[test]
    fn the_interval_covers() {
        for (seed, n) in [(1, 3), (2, 40), (3, 2000), (4, 30_000)] {
            let probabilities = random_probabilities(seed, n, 1.0);
            let exits = exits(&probabilities).unwrap();
            assert!(exits.low as f64 <= exits.expected && exits.expected <= exits.high as f64);
            let mut random = Random::new(seed);
            let inside = (0..1000)
                .filter(|_| {
                    let left = probabilities.iter().filter(|p| random.uniform() < **p).count() as u64;
                    (exits.low..=exits.high).contains(&left)
                })
                .count();
            assert!(inside >= 930, "{n}: {inside}");
        }
    }

    #[test]
    fn nobody_certainties_and_no_probability() {
        let nobody = Exits { expected: 0.0, standard_deviation: 0.0, low: 0, high: 0 };
        assert_eq!((exits(&[]), exits(&[0.0; 9])), (Some(nobody), Some(nobody)));
        let certain = exits(&[1.0, 1.0, 0.0, 1.0]).unwrap();
        assert_eq!((certain.expected, certain.low, certain.high), (3.0, 3, 3));
        assert_eq!((exits(&[0.5]).unwrap().low, exits(&[0.5]).unwrap().high), (0, 1));
        assert_eq!((exits(&[-0.1]), exits(&[0.2, f64::NAN]), exits(&[1.1])), (None, None, None));
    }

    #[test]
    fn a_million_clients() {
        let rare = exits(&vec![1e-5; 1_000_000]).unwrap(); // exact, because the variance is 10
        assert_eq!((rare.low, rare.high), (4, 17));
        let usual = exits(&vec![0.2; 1_000_000]).unwrap(); // refined approximation: 200,000 ± 1.96 · 400
        assert_eq!((usual.low, usual.high), (199_216, 200_784));
    }
}
