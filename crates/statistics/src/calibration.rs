//! Calibration of a model's probabilities: what a predicted probability meant on labelled rows, and how certainly that is
//! known. Estimates of a score before labels arrive are made from calibrated probabilities ([`crate::expected`]).
//!
//! The calibrated log-odds are l + θ·x(l), where l are the log-odds of the model and x(l) is a piecewise linear basis with
//! four knots. θ maximises the posterior density of a logistic regression with independent normal priors of mean 0.
//! Few labelled rows therefore leave the model's probabilities nearly as they are, and many rows replace them. The
//! inverse Hessian at the maximum approximates the covariance of θ, including the variability that the prior allows
//! where no row tells (Wahba, Bayesian "confidence intervals" for the cross-validated smoothing spline, JRSS B 45, 1983;
//! Laplace's approximation: Bishop, Pattern Recognition and Machine Learning, 2006, section 4.5.1).
//!
//! An isotonic regression, which NannyML uses, has no such covariance; `tests/expected.rs` compares both.

mod cholesky;

use serde::{Deserialize, Serialize};

use self::cholesky::Cholesky;

/// Number of knots of the basis.
pub const KNOTS: usize = 4;
/// Number of terms of the basis: the constant, the slope, and the change of the slope at each knot.
pub const TERMS: usize = 2 + KNOTS;
/// Log-odds are limited to this size, where the probability differs from 0 or 1 by less than 1e-15.
pub const MOST_LOG_ODDS: f64 = 36.0;

/// Quantiles of the log-odds at which the knots are.
const QUANTILES: [f64; KNOTS] = [0.05, 0.35, 0.65, 0.95];
/// Standard deviations of the priors. The scale of the slope and of its changes is one standard deviation of the
/// log-odds, so that a model with other units has the same calibration.
const PRIOR: [f64; TERMS] = [2.0, 1.5, 2.5, 2.5, 2.5, 2.5];
/// The covariance is multiplied by 1 + this / (1 + number of rows of the rarer class), because Laplace's approximation
/// is too certain with few of them. With this value the intervals of `tests/expected.rs` cover.
const FEW_ROWS: f64 = 30.0;
/// Smallest scale. If all rows have the same log-odds, nothing is known about others, and their intervals are wide.
const LEAST_SCALE: f64 = 1e-3;
const MOST_STEPS: usize = 60;
/// Newton's decrement at which the fit ends, far below any effect on a probability.
const DECREMENT: f64 = 1e-12;

/// Values of the terms for one row, or one number for each term.
pub type Terms = [f64; TERMS];

/// A calibration, fitted to labelled rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Number of labelled rows that it was fitted to.
    pub rows: u64,
    /// Mean of the log-odds of these rows.
    pub centre: f64,
    /// Standard deviation of the log-odds of these rows, but at least 0.001.
    pub scale: f64,
    /// Positions of the knots, in standard deviations from the centre.
    pub knots: [f64; KNOTS],
    /// Coefficients θ of the terms.
    pub coefficients: Terms,
    /// Covariance matrix of the coefficients.
    pub covariance: [Terms; TERMS],
}

impl Calibration {
    /// The calibration that leaves every probability as it is, as if that were certain.
    pub const NONE: Self = Self {
        rows: 0,
        centre: 0.0,
        scale: 1.0,
        knots: [0.0; KNOTS],
        coefficients: [0.0; TERMS],
        covariance: [[0.0; TERMS]; TERMS],
    };

    /// Fits a calibration to pairs of the model's log-odds and whether the client left, in any order. Pairs whose
    /// log-odds are not a number are left out.
    ///
    /// `None` if there is no such pair. A single pair or a single class is enough, because the prior decides what the
    /// pairs do not tell.
    pub fn fit(pairs: &[(f64, bool)]) -> Option<Self> {
        let mut pairs: Vec<(f64, bool)> =
            pairs.iter().filter(|(l, _)| !l.is_nan()).map(|(l, left)| (limited(*l), *left)).collect();
        // Sums of sorted numbers do not depend on the order of the pairs.
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let last = pairs.len().checked_sub(1)?;
        let n = pairs.len() as f64;
        let centre = pairs.iter().map(|(l, _)| l).sum::<f64>() / n;
        let variance = pairs.iter().map(|(l, _)| (l - centre).powi(2)).sum::<f64>() / n;
        let scale = variance.sqrt().max(LEAST_SCALE);
        let knots = QUANTILES.map(|quantile| (pairs[(quantile * last as f64) as usize].0 - centre) / scale);
        let unfitted = Self { rows: pairs.len() as u64, centre, scale, knots, ..Self::NONE };
        let mut fitted = unfitted.fitted(&pairs);
        let left = pairs.iter().filter(|(_, left)| *left).count();
        let factor = 1.0 + FEW_ROWS / (1 + left.min(pairs.len() - left)) as f64;
        fitted.covariance.iter_mut().flatten().for_each(|entry| *entry *= factor);
        Some(fitted)
    }

    /// Returns the terms of the basis at these log-odds of the model.
    pub fn terms(&self, log_odds: f64) -> Terms {
        let z = (limited(log_odds) - self.centre) / self.scale;
        let mut terms = [1.0; TERMS];
        terms[1] = z;
        for (term, knot) in terms[2..].iter_mut().zip(self.knots) {
            *term = (z - knot).max(0.0);
        }
        terms
    }

    /// Returns the calibrated probability that belongs to these log-odds of the model, and its terms.
    pub fn probability(&self, log_odds: f64) -> (f64, Terms) {
        let terms = self.terms(log_odds);
        (logistic(limited(log_odds) + dot(&self.coefficients, &terms)), terms)
    }

    /// Returns the covariance of two sums whose derivatives with respect to the coefficients are `a` and `b`.
    pub fn covariance_of(&self, a: &Terms, b: &Terms) -> f64 {
        self.covariance.iter().zip(a).map(|(row, a)| a * dot(row, b)).sum()
    }

    /// Maximises the posterior density by Newton steps, which are halved until the density rises.
    fn fitted(mut self, pairs: &[(f64, bool)]) -> Self {
        let mut density = self.density(pairs);
        for _ in 0..MOST_STEPS {
            let (gradient, hessian) = self.derivatives(pairs);
            let Some(factor) = Cholesky::of(&hessian) else { break };
            self.covariance = factor.inverse();
            let step = factor.solve(gradient);
            let decrement = dot(&step, &gradient);
            if decrement <= DECREMENT {
                break;
            }
            let rises = (0..30).map(|halvings| 0.5f64.powi(halvings)).find_map(|share| {
                let mut next = self.clone();
                next.coefficients.iter_mut().zip(step).for_each(|(coefficient, step)| *coefficient += share * step);
                let risen = next.density(pairs);
                (risen > density).then_some((next, risen))
            });
            let Some(next) = rises else { break }; // the rest is rounding noise
            (self, density) = next;
        }
        self
    }

    /// Returns the logarithm of the posterior density, up to a constant.
    fn density(&self, pairs: &[(f64, bool)]) -> f64 {
        let prior: f64 = self.coefficients.iter().zip(PRIOR).map(|(c, deviation)| (c / deviation).powi(2)).sum();
        let likelihood: f64 = pairs
            .iter()
            .map(|(log_odds, left)| {
                let f = log_odds + dot(&self.coefficients, &self.terms(*log_odds));
                let of_outcome = if *left { -f } else { f };
                -(of_outcome.max(0.0) + (-of_outcome.abs()).exp().ln_1p()) // −ln(1 + exp(±f)) without overflow
            })
            .sum();
        likelihood - 0.5 * prior
    }

    /// Returns the gradient of [`Self::density`] and its negative Hessian.
    fn derivatives(&self, pairs: &[(f64, bool)]) -> (Terms, [Terms; TERMS]) {
        let mut gradient = [0.0; TERMS];
        let mut hessian = [[0.0; TERMS]; TERMS];
        for (log_odds, left) in pairs {
            let (q, terms) = self.probability(*log_odds);
            let (residual, weight) = (f64::from(*left) - q, q * (1.0 - q));
            for (i, term) in terms.iter().enumerate() {
                gradient[i] += residual * term;
                for (entry, other) in hessian[i].iter_mut().zip(terms) {
                    *entry += weight * term * other;
                }
            }
        }
        for (i, deviation) in PRIOR.iter().enumerate() {
            let precision = deviation.powi(-2);
            gradient[i] -= precision * self.coefficients[i];
            hessian[i][i] += precision;
        }
        (gradient, hessian)
    }
}

/// Returns log-odds of a size that the sums can work with.
fn limited(log_odds: f64) -> f64 {
    log_odds.clamp(-MOST_LOG_ODDS, MOST_LOG_ODDS)
}

fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

fn dot(a: &Terms, b: &Terms) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn drawn(n: usize, truth: impl Fn(f64) -> f64) -> Vec<(f64, bool)> {
        let mut random = Random::new(7);
        let mut pair = || {
            let log_odds = 8.0 * random.uniform() - 4.0;
            (log_odds, random.uniform() < truth(log_odds))
        };
        (0..n).map(|_| pair()).collect()
    }

    fn calibrated(calibration: &Calibration, log_odds: f64) -> f64 {
        calibration.probability(log_odds).0
    }

    #[test]
    fn many_rows_decide_and_few_rows_leave_the_model_as_it_is() {
        let truths: [fn(f64) -> f64; 3] =
            [logistic, |l| logistic(0.4 * l - 1.0), |l| 0.5 * logistic(l - 2.0) + 0.5 * logistic(l + 1.0)];
        for truth in truths {
            let many = Calibration::fit(&drawn(100_000, truth)).unwrap();
            for log_odds in [-3.5, -2.0, -1.0, 0.0, 1.0, 2.0, 3.5] {
                let (ours, true_one) = (calibrated(&many, log_odds), truth(log_odds));
                assert!((ours - true_one).abs() < 0.015, "{log_odds}: {ours}, true {true_one}");
            }
        }
        let one = Calibration::fit(&[(1.0, false)]).unwrap();
        assert!((0.3..logistic(1.0)).contains(&calibrated(&one, 1.0)), "{}", calibrated(&one, 1.0));
    }

    #[test]
    fn the_fit_is_the_maximum_and_its_derivatives_are_right() {
        let pairs = drawn(300, |l| logistic(0.5 * l));
        let fitted = Calibration::fit(&pairs).unwrap();
        let (gradient, hessian) = fitted.derivatives(&pairs);
        assert!(gradient.iter().all(|slope| slope.abs() < 1e-4), "{gradient:?}");
        let moved = |i: usize, by: f64| {
            let mut moved = fitted.clone();
            moved.coefficients[i] += by;
            moved
        };
        for (i, row) in hessian.iter().enumerate() {
            assert!(moved(i, 0.01).density(&pairs) < fitted.density(&pairs));
            assert!(moved(i, -0.01).density(&pairs) < fitted.density(&pairs));
            let (above, below) = (moved(i, 1e-4).derivatives(&pairs).0, moved(i, -1e-4).derivatives(&pairs).0);
            for j in 0..TERMS {
                let slope = (below[j] - above[j]) / 2e-4;
                assert!((slope - row[j]).abs() < 1e-4 * row[i], "{i} {j}");
                let left = pairs.iter().filter(|(_, left)| *left).count();
                let factor = 1.0 + FEW_ROWS / (1 + left.min(300 - left)) as f64;
                let unit: f64 = (0..TERMS).map(|k| row[k] * fitted.covariance[k][j] / factor).sum();
                assert!((unit - f64::from(i == j)).abs() < 1e-8, "{i} {j}: {unit}");
            }
        }
    }

    #[test]
    fn the_order_of_the_pairs_does_not_matter() {
        let mut pairs = drawn(1000, logistic);
        pairs.extend((0..50).map(|row| (0.25, row % 3 == 0)));
        let fitted = Calibration::fit(&pairs);
        pairs.reverse();
        assert_eq!(Calibration::fit(&pairs), fitted);
    }

    #[test]
    fn degenerate_pairs_have_a_finite_calibration() {
        let (infinite, huge) = (f64::INFINITY, 1e300);
        let cases: [Vec<(f64, bool)>; 7] = [
            vec![(0.3, true)],
            vec![(0.3, false); 1000],
            (0..500).map(|row| (f64::from(row) / 100.0, true)).collect(),
            (0..500).map(|row| (f64::from(row - 250), row >= 250)).collect(), // separated
            vec![(infinite, false), (-infinite, true), (huge, true), (-huge, false), (f64::NAN, true)],
            vec![(1.0, true), (1.0 + 1e-12, false)],
            (0..10_000).map(|row| (if row % 2 == 0 { 2.0 } else { -2.0 }, row % 5 == 0)).collect(),
        ];
        for pairs in cases {
            let fitted = Calibration::fit(&pairs).unwrap();
            let numbers = fitted.coefficients.iter().chain(fitted.covariance.iter().flatten()).chain(&fitted.knots);
            assert!(numbers.chain([&fitted.centre, &fitted.scale]).all(|number| number.is_finite()), "{fitted:?}");
            assert!((0..TERMS).all(|i| fitted.covariance[i][i] > 0.0), "{fitted:?}");
            for log_odds in [-infinite, -huge, -2.0, 0.0, 2.0, huge, infinite] {
                let (q, terms) = fitted.probability(log_odds);
                assert!((0.0..=1.0).contains(&q) && terms.iter().all(|term| term.is_finite()), "{log_odds}: {q}");
            }
        }
        assert_eq!(Calibration::fit(&[]), None);
        assert_eq!(Calibration::fit(&[(f64::NAN, true)]), None);
    }

    #[test]
    fn without_a_calibration_a_probability_stays_as_it_is() {
        for log_odds in [-40.0, -3.0, 0.0, 0.7, 12.0] {
            assert!((calibrated(&Calibration::NONE, log_odds) - logistic(log_odds)).abs() < 1e-15);
        }
        assert_eq!(Calibration::NONE.covariance_of(&[1.0; TERMS], &[1.0; TERMS]), 0.0);
    }
}
