//! Are new clients like those the model was trained on? Asked of one predictor at a time, without waiting for anyone to
//! leave: the F1 of new clients is known only once they have.
//!
//! [`stability`] looks at tenths of the training values and at what is missing, [`kolmogorov_smirnov`] at the whole
//! distribution, and [`holm`] keeps several predictors from giving one false alarm. With many clients a shift too small
//! to matter is significant too: look at the size of [`Stability::index`] or [`KolmogorovSmirnov::distance`] as well.

mod distance;
mod holm;
mod psi;

use serde::{Deserialize, Serialize};

pub use self::distance::{KolmogorovSmirnov, kolmogorov_smirnov, two_samples};
pub use self::holm::holm;
pub use self::psi::{Stability, stability, stability_of_counts};

/// How a p-value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By the chi-square distribution, which the index follows where every bin holds enough clients.
    ChiSquare,
    /// By the distribution of Kolmogorov.
    Kolmogorov,
    /// By handing the clients out anew to "training" and "new", 2,000 times at random.
    Permutation,
}

/// Permutations drawn; no p-value is below 1/2001.
const PERMUTATIONS: usize = 2000;

/// The p-value where `as_far` of the permutations are at least as far apart as what was found, which itself is one
/// more.
fn permutation_p_value(as_far: usize) -> f64 {
    (as_far + 1) as f64 / (PERMUTATIONS + 1) as f64
}
