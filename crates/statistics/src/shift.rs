//! Tests whether new clients differ from those on which the model was trained, one predictor at a time. They need no
//! outcome, while the F1 of new clients is known only after they have left or stayed.
//!
//! For numbers, [`stability`] compares the deciles of the training values and the share of missing values, and
//! [`kolmogorov_smirnov`] compares the whole distribution. For categories, [`stability_of_counts`] and [`chi_square`]
//! compare the counts of the levels. [`holm`] limits false alarms if several predictors are tested. With many clients, a
//! shift that is too small to matter is significant too, so [`Stability::index`], [`KolmogorovSmirnov::statistic`] or
//! [`ChiSquare::distance`] must be considered as well.

mod chi_square;
mod holm;
mod kolmogorov_smirnov;
mod psi;

use serde::{Deserialize, Serialize};

pub use self::chi_square::{ChiSquare, chi_square};
pub use self::holm::holm;
pub use self::kolmogorov_smirnov::{KolmogorovSmirnov, kolmogorov_smirnov, two_samples};
pub use self::psi::{Stability, stability, stability_of_counts};
use crate::random::Random;

/// The method by which a p-value was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Chi-square distribution, which the statistic follows if every bin holds enough clients.
    ChiSquare,
    /// Kolmogorov distribution of the KS statistic.
    Kolmogorov,
    /// Random permutation: the clients are assigned to "training" and "new" 2,000 times at random.
    Permutation,
}

/// Number of permutations; no p-value is below 1/2001.
const PERMUTATIONS: usize = 2000;

/// Smallest expected count of a bin for which the chi-square distribution is a good approximation (Cochran 1954).
const FEWEST_EXPECTED: f64 = 5.0;

/// Two sets of counts over the same bins.
struct Bins {
    /// Number of clients of each bin in the training data and in the new data, not both 0.
    counts: Vec<(u64, u64)>,
    /// Number of clients in the training data, at least 1.
    n: u64,
    /// Number of clients in the new data, at least 1.
    m: u64,
}

impl Bins {
    /// Pairs the counts and leaves out bins that are empty on both sides. `None` if a side has no client, or the sides
    /// have different numbers of bins.
    fn of(training: &[u64], new: &[u64]) -> Option<Self> {
        let pairs = training.iter().copied().zip(new.iter().copied());
        let counts: Vec<(u64, u64)> = pairs.filter(|(a, b)| a + b > 0).collect();
        let (n, m) = totals(&counts);
        (training.len() == new.len() && n > 0 && m > 0).then_some(Self { counts, n, m })
    }

    /// Whether each bin has an expected count of at least 5 on both sides, so the chi-square distribution applies.
    fn are_filled(&self) -> bool {
        let smaller_share = self.n.min(self.m) as f64 / (self.n + self.m) as f64;
        self.counts.iter().all(|(a, b)| ((a + b) as f64) * smaller_share >= FEWEST_EXPECTED)
    }

    /// Computes a statistic of 2,000 random permutations. `statistic` takes the counts and the totals of both sides.
    fn permuted(&self, seed: u64, statistic: impl Fn(&[(u64, u64)], u64, u64) -> f64) -> Permuted {
        let mut random = Random::new(seed);
        let mut counts = Vec::new();
        let mut statistics: Vec<f64> = (0..PERMUTATIONS)
            .map(|_| {
                counts.clear();
                counts.extend(permutation(&self.counts, &mut random));
                statistic(&counts, self.n, self.m)
            })
            .collect();
        statistics.sort_unstable_by(f64::total_cmp);
        Permuted(statistics)
    }
}

/// The values of a statistic in all permutations, ascending.
struct Permuted(Vec<f64>);

impl Permuted {
    /// Returns the value that 5 % of the permutations exceed.
    fn cutoff(&self) -> f64 {
        self.0[PERMUTATIONS * 95 / 100 - 1]
    }

    /// Returns the probability of a statistic of at least `found`.
    fn p_value(&self, found: f64) -> f64 {
        // The statistic of the same table may differ in its last bits, so equality has a tolerance.
        permutation_p_value(PERMUTATIONS - self.0.partition_point(|value| *value < found * (1.0 - 1e-12)))
    }
}

/// Returns a random permutation of `counts`, the clients of each bin in the training data and in the new data: all
/// clients are assigned to the two sides again, and each side keeps its number of clients.
fn permutation(counts: &[(u64, u64)], random: &mut Random) -> impl Iterator<Item = (u64, u64)> {
    let (n, m) = totals(counts);
    let (mut clients, mut new_clients) = (n + m, m);
    counts.iter().map(move |(a, b)| {
        let new = random.hypergeometric(clients, a + b, new_clients);
        clients -= a + b;
        new_clients -= new;
        (a + b - new, new)
    })
}

/// Returns the number of clients in the training data and in the new data.
fn totals(counts: &[(u64, u64)]) -> (u64, u64) {
    counts.iter().fold((0, 0), |(n, m), (a, b)| (n + a, m + b))
}

/// Returns the p-value if `as_far` of the permutations differ at least as much as the observed samples. The observed
/// samples count as one more permutation.
fn permutation_p_value(as_far: usize) -> f64 {
    (as_far + 1) as f64 / (PERMUTATIONS + 1) as f64
}
