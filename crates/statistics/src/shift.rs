//! Tests whether new clients differ from those on which the model was trained, one predictor at a time. They need no
//! outcome, while the F1 of new clients is known only after they have left or stayed.
//!
//! [`stability`] compares the deciles of the training values and the share of missing values, [`kolmogorov_smirnov`]
//! compares the whole distribution, and [`holm`] limits false alarms if several predictors are tested. With many
//! clients, a shift that is too small to matter is significant too, so [`Stability::index`] or
//! [`KolmogorovSmirnov::statistic`] must be considered as well.

mod holm;
mod kolmogorov_smirnov;
mod psi;

use serde::{Deserialize, Serialize};

pub use self::holm::holm;
pub use self::kolmogorov_smirnov::{KolmogorovSmirnov, kolmogorov_smirnov, two_samples};
pub use self::psi::{Stability, stability, stability_of_counts};
use crate::random::Random;

/// The method by which a p-value was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Chi-square distribution, which the index follows if every bin holds enough clients.
    ChiSquare,
    /// Kolmogorov distribution of the KS statistic.
    Kolmogorov,
    /// Random permutation: the clients are assigned to "training" and "new" 2,000 times at random.
    Permutation,
}

/// Chi-square test.
#[derive(Clone, Copy, Debug)]
pub struct ChiSquare {
    /// Statistic.
    pub statistic: f64,
    /// P-value.
    pub p_value: f64,
}
/// Chi-square test.
pub fn chi_square(_training: &[u64], _new: &[u64], _seed: u64) -> Option<ChiSquare> {
    None
}

/// Number of permutations; no p-value is below 1/2001.
const PERMUTATIONS: usize = 2000;

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
