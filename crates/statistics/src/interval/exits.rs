//! The number of called clients that will leave: a sum of independent events with known, different probabilities
//! (Poisson binomial distribution).

use serde::{Deserialize, Serialize};

use crate::special::normal_cdf;

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
